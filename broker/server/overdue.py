"""Channels whose client has kept a delivery for too long (RabbitMQ's consumer_timeout).

Decides which channels are to be closed for it, and with which words. It must not know sessions.
"""

from collections.abc import Iterable, Iterator

from broker.amqp.channel import Channel
from broker.amqp.errors import ChannelException


def overdue(channels: Iterable[Channel], now: float, timeout_ms: int) -> Iterator[tuple[Channel, ChannelException]]:
    """The channels with a delivery that has waited for its acknowledgement for longer, each with its error."""
    for channel in channels:
        if channel.state == "open" and channel.is_overdue(now, timeout_ms / 1000):
            why = (
                f"delivery acknowledgement on channel {channel.number} timed out. Timeout value used: {timeout_ms} "
                "ms. This timeout value can be configured, see consumers doc guide to learn more"
            )
            yield channel, ChannelException(406, why)
