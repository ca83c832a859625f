"""Channels and connections of this node.

Decides names, and what of a channel's figures they are. What counters of the node count includes clients that have
gone, so that rates do not break off when they go. It must not know who may see whom: metrics name no users.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import trio

from broker.management.metrics.exposition import Family, Row, Value, labels
from broker.management.metrics.group import Group, Scrape
from broker.meters.traffic import QUEUE_TYPES, Flow

if TYPE_CHECKING:
    from broker.amqp.channel import Channel

CHANNELS_PER_TURN: Final = 200

_State = Mapping[str, Callable[["Channel"], int]]
_Count = Callable[[Flow], int]


def _uncommitted(channel: "Channel") -> int:
    return 0 if channel.transaction is None else channel.transaction.publish_count


def _acks_uncommitted(channel: "Channel") -> int:
    return 0 if channel.transaction is None else sum(map(len, channel.transaction.answered))


def _delivered(name: str) -> _Count:
    return lambda flow: sum([int(getattr(flow.deliveries(kind), name)) for kind in QUEUE_TYPES])


_STATE: Final[tuple[tuple[Family, Callable[["Channel"], int]], ...]] = (
    (Family("channel_consumers", "gauge", "Consumers of channels."), lambda one: len(one.consumer_tags)),
    (Family("channel_messages_unacked", "gauge", "Deliveries without an answer."), lambda one: one.unacked_count),
    (Family("channel_messages_unconfirmed", "gauge", "Publishes to confirm."), lambda one: one.unconfirmed_count),
    (Family("channel_messages_uncommitted", "gauge", "Publishes in transactions."), _uncommitted),
    (Family("channel_acks_uncommitted", "gauge", "Answers in transactions."), _acks_uncommitted),
    (
        Family("consumer_prefetch", "gauge", "The limit for new consumers."),
        lambda one: one.prefetch_count_new_consumers,
    ),
    (
        Family("channel_prefetch", "gauge", "The limit of a whole channel."),
        lambda one: one.prefetch_count_global,
    ),
)
_PUBLISHED: Final[tuple[tuple[Family, _Count], ...]] = (
    (Family("channel_messages_published_total", "counter", "Messages published."), lambda flow: flow.received),
    (Family("channel_messages_confirmed_total", "counter", "Messages confirmed."), lambda flow: flow.confirmed),
    (
        Family("channel_messages_unroutable_returned_total", "counter", "Messages for no queue, returned."),
        lambda flow: flow.unroutable_returned,
    ),
    (
        Family("channel_messages_unroutable_dropped_total", "counter", "Messages for no queue, dropped."),
        lambda flow: flow.unroutable_dropped,
    ),
)
_GOT: Final[tuple[tuple[Family, _Count], ...]] = (
    (
        Family("channel_get_ack_total", "counter", "Messages got, to acknowledge."),
        _delivered("got_manual_ack"),
    ),
    (Family("channel_get_total", "counter", "Messages got, not to acknowledge."), _delivered("got_auto_ack")),
    (
        Family("channel_messages_delivered_ack_total", "counter", "Deliveries to consumers that acknowledge."),
        _delivered("consumed_manual_ack"),
    ),
    (
        Family("channel_messages_delivered_total", "counter", "Deliveries to consumers that need not."),
        _delivered("consumed_auto_ack"),
    ),
    (Family("channel_messages_redelivered_total", "counter", "Those that were flagged."), _delivered("redelivered")),
    (Family("channel_messages_acked_total", "counter", "Messages acknowledged."), _delivered("acknowledged")),
    (Family("channel_get_empty_total", "counter", "Times that basic.get found nothing."), _delivered("get_empty")),
)


async def _each(scrape: Scrape, values: "Callable[[Channel], Sequence[Value]]") -> list[Row]:
    rows: list[Row] = []
    for presence in [*scrape.hall.roster.presences.values()]:
        if len(rows) % CHANNELS_PER_TURN == 0:
            await trio.lowlevel.checkpoint()
        if scrape.wants(presence.vhost_name):
            rows += [Row(labels(channel=pid), values(channel)) for pid, channel in presence.open_channels()]
    return rows


async def _states(scrape: Scrape) -> list[Row]:
    sums = [0] * len(_STATE)
    for number, presence in enumerate([*scrape.hall.roster.presences.values()]):
        if not number % CHANNELS_PER_TURN:
            await trio.lowlevel.checkpoint()
        for _, channel in presence.open_channels():
            for index, (_, value) in enumerate(_STATE):
                sums[index] += value(channel)
    return [Row("", sums)]


async def _states_each(scrape: Scrape) -> list[Row]:
    return await _each(scrape, lambda channel: tuple([value(channel) for _, value in _STATE]))


def _counts(name: str, table: tuple[tuple[Family, _Count], ...]) -> Group:
    async def totals(scrape: Scrape) -> list[Row]:
        await trio.lowlevel.checkpoint()
        everything = Flow.of_all(scrape.flows.values())
        return [Row("", [count(everything) for _, count in table])]

    async def each(scrape: Scrape) -> list[Row]:
        return await _each(scrape, lambda channel: tuple([count(channel.flow) for _, count in table]))

    return Group(name, tuple(family for family, _ in table), totals, each)


async def _volume(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    return [Row("", (scrape.volume.received_bytes, scrape.volume.sent_bytes))]


async def _volume_each(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    return [
        Row(labels(connection=one.pid), (one.volume.received_bytes, one.volume.sent_bytes))
        for one in scrape.hall.roster.presences.values()
        if scrape.wants(one.vhost_name)
    ]


async def _packets(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    channels = sum(one.channel_count for one in scrape.hall.roster.presences.values())
    return [Row("", (scrape.volume.reads, scrape.volume.writes, channels))]


async def _packets_each(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    return [
        Row(labels(connection=one.pid), (one.volume.reads, one.volume.writes, one.channel_count))
        for one in scrape.hall.roster.presences.values()
        if scrape.wants(one.vhost_name)
    ]


CHANNELS = Group("channel_metrics", tuple(family for family, _ in _STATE), _states, _states_each)
PUBLISHED = _counts("channel_exchange_metrics", _PUBLISHED)
GOT = _counts("channel_queue_metrics", _GOT)
CONNECTIONS_COARSE = Group(
    "connection_coarse_metrics",
    (
        Family("connection_incoming_bytes_total", "counter", "Bytes that clients sent."),
        Family("connection_outgoing_bytes_total", "counter", "Bytes that clients were sent."),
    ),
    _volume,
    _volume_each,
)
CONNECTIONS = Group(
    "connection_metrics",
    (
        Family("connection_incoming_packets_total", "counter", "Reads from clients' sockets."),
        Family("connection_outgoing_packets_total", "counter", "Writes to clients' sockets."),
        Family("connection_channels", "gauge", "Channels of connections."),
    ),
    _packets,
    _packets_each,
)
