"""Direct reply-to: answers that reach the channel of whoever asked, without a queue (RabbitMQ, "Direct Reply-to").

Decides the address of a channel that consumes from `amq.rabbitmq.reply-to`, and brings what is published to such an
address to the channel: through this node's table, or with one frame to the node that the address names. Nothing is
kept: an answer for a channel that has gone is dropped, here as in RabbitMQ. It must not know queues or routes.
"""

from typing import TYPE_CHECKING, Any

from broker.amqp.errors import ChannelException
from broker.vhosts.switchboard import PeerLost
from broker.wire import queue_frames as frames
from broker.wire.properties import REPLY_TO
from broker.world.chance import secret_text

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.vhosts.publications import Pending
    from broker.vhosts.switchboard import Answer, Switchboard
    from broker.wire.message import Run

ADDRESS_PREFIX = REPLY_TO + "."
ADDRESS_BYTES_MAX = 255
"""Nobody has a longer one, but CC may carry it."""


class ReplyConsumer:
    """A channel that waits for answers. Its address names node, life and, as nobody can guess, the consumer."""

    __slots__ = ("address", "channel", "tag", "tag_bytes")

    def __init__(self, channel: "Channel", tag: str, address: str) -> None:
        self.channel = channel
        self.tag = tag
        self.tag_bytes = tag.encode("utf-8", "surrogateescape")
        self.address = address


class ReplyTarget:
    """Where a publish to an address goes; routes may keep it, as it does not keep the channel."""

    __slots__ = ("_address", "_node", "_replies")

    is_queue = False
    delays = False

    def __init__(self, replies: "Replies", address: str, node: str) -> None:
        self._replies = replies
        self._address = address
        self._node = node

    def publish(self, run: "Run", pending: "Pending | None") -> None:
        """Send the run on its way; that is all a publisher is promised."""
        self._replies.send(self._node, self._address, run)
        if pending is not None:
            pending.answer()


class Replies:
    """The reply consumers of one node, and the way to those of the others."""

    def __init__(self, switchboard: "Switchboard") -> None:
        self._switchboard = switchboard
        self._by_address: dict[str, ReplyConsumer] = {}
        self._by_channel: dict[Channel, ReplyConsumer] = {}
        switchboard.links.handle(frames.REPLY, self._receive)
        switchboard.answer("reply_consumer", self._serve)

    # ------------------------------------------------------------------ who waits

    def consume(self, channel: "Channel", tag: str, *, no_ack: bool) -> None:
        """basic.consume from `amq.rabbitmq.reply-to`: one per channel, without acknowledgements."""
        if not no_ack:
            raise ChannelException(406, "reply consumer cannot acknowledge")
        if channel in self._by_channel:
            raise ChannelException(406, "reply consumer already set")
        switchboard = self._switchboard
        address = f"{ADDRESS_PREFIX}{switchboard.node}.{switchboard.life}.{secret_text()}"
        self._by_channel[channel] = self._by_address[address] = ReplyConsumer(channel, tag, address)

    def cancel(self, channel: "Channel", tag: str) -> bool:
        """basic.cancel; whether the tag was that of the channel's reply consumer."""
        consumer = self._by_channel.get(channel)
        if consumer is None or consumer.tag != tag:
            return False
        self.close_channel(channel)
        return True

    def close_channel(self, channel: "Channel") -> None:
        """Nobody waits on this channel any more."""
        consumer = self._by_channel.pop(channel, None)
        if consumer is not None:
            del self._by_address[consumer.address]

    def address_of(self, channel: "Channel") -> str:
        """Where answers to what this channel publishes go. Raises 406 if it does not wait for any."""
        consumer = self._by_channel.get(channel)
        if consumer is None:
            raise ChannelException(406, "fast reply consumer does not exist")
        return consumer.address

    async def check(self, vhost: str, name: str) -> None:
        """queue.declare of a name that begins with `amq.rabbitmq.reply-to`, as if it were passive. Raises 404."""
        if name != REPLY_TO and not await self._exists(name):
            raise ChannelException(404, f"no queue '{name}' in vhost '{vhost}'")

    async def _exists(self, address: str) -> bool:
        node = _node_of(address)
        if node == self._switchboard.node:
            return address in self._by_address
        try:
            answer, _ = await self._switchboard.call(node, {"do": "reply_consumer", "address": address})
        except PeerLost:
            return False
        return bool(answer["exists"])

    async def _serve(self, peer: str, fields: dict[str, Any]) -> "Answer":
        return {"exists": fields["address"] in self._by_address}, b""

    # ------------------------------------------------------------------ answers

    def targets(self, keys: tuple[str, ...]) -> list[ReplyTarget]:
        """For those routing keys of a publish to the default exchange that are addresses."""
        addresses = [key for key in keys if key.startswith(ADDRESS_PREFIX) and _is_name(key)]
        return [ReplyTarget(self, address, _node_of(address)) for address in addresses]

    def send(self, node: str, address: str, run: "Run") -> None:
        """Bring the run to the channel; if there is none, or no link, it is gone."""
        if node == self._switchboard.node:
            self._deliver(address, run)
        else:
            self._switchboard.send(node, frames.REPLY, frames.encode_reply(address, run))

    def _receive(self, peer: str, payload: bytes, offset: int) -> None:
        self._deliver(*frames.decode_reply(payload))

    def _deliver(self, address: str, run: "Run") -> None:
        consumer = self._by_address.get(address)
        if consumer is not None:
            consumer.channel.deliver(consumer.tag_bytes, run, None)


def _is_name(address: str) -> bool:
    return len(address.encode("utf-8", "surrogateescape")) <= ADDRESS_BYTES_MAX


def _node_of(address: str) -> str:
    """The node that an address names: what stands before life and secret."""
    return address.removeprefix(ADDRESS_PREFIX).rsplit(".", 2)[0]
