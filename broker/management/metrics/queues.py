"""Queues whose master is on this node, and their mirrors.

Decides names, and what of a queue's figures they are. The sums are kept (`totals`), so the page of the whole node costs
the same however many queues there are. It must not know how labels are written.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import trio

from broker.cluster import schema
from broker.management.depths import Sounding
from broker.management.metrics.exposition import Family, Row, Value, labels
from broker.management.metrics.group import Group, Scrape
from broker.management.visit import rabbit

if TYPE_CHECKING:
    from broker.vhosts.local import Local

_Figure = Callable[[Mapping[str, Any]], Value]


def _named(name: str) -> _Figure:
    return lambda figures: figures.get(name)


def _in_memory(figures: Mapping[str, Any]) -> int:
    return max(0, _all(figures) - int(figures["messages_paged_out"]))


def _all(figures: Mapping[str, Any]) -> int:
    return int(figures["messages_ready"]) + int(figures["messages_unacked"])


def _bytes(figures: Mapping[str, Any]) -> int:
    return int(figures["message_bytes_ready"]) + int(figures["message_bytes_unacked"])


_COARSE: Final = (
    (Family("queue_messages_ready", "gauge", "Messages that wait for a consumer."), _named("messages_ready")),
    (Family("queue_messages_unacked", "gauge", "Messages given out and not answered."), _named("messages_unacked")),
    (Family("queue_messages", "gauge", "Messages, ready or not."), _all),
)
_CONSUMERS: Final = ((Family("queue_consumers", "gauge", "Consumers of queues."), _named("consumers")),)
_FINE: Final = (
    (Family("queue_process_memory_bytes", "gauge", "What messages take up in memory."), _named("resident_bytes")),
    (Family("queue_messages_ram", "gauge", "Messages in memory."), _in_memory),
    (Family("queue_messages_bytes", "gauge", "Bytes of the bodies of all messages."), _bytes),
    (Family("queue_messages_ready_bytes", "gauge", "Bytes of ready messages."), _named("message_bytes_ready")),
    (
        Family("queue_messages_unacked_bytes", "gauge", "Bytes of unacknowledged messages."),
        _named("message_bytes_unacked"),
    ),
    (Family("queue_messages_paged_out", "gauge", "Messages on disk only."), _named("messages_paged_out")),
)
_LYING: Final = (
    (Family("queue_messages_persistent", "gauge", "Persistent messages, where counted."), _named("persistent")),
    (
        Family("queue_messages_persistent_bytes", "gauge", "Bytes of persistent messages, where counted."),
        _named("persistent_bytes"),
    ),
    (
        Family("queue_head_message_timestamp", "gauge", "The timestamp property of the oldest message, if it has one."),
        _named("head_timestamp"),
    ),
)
_PUBLISHED: Final = (
    (Family("queue_messages_published_total", "counter", "Messages that came to queues."), _named("published")),
)
_GIVEN: Final = (
    (Family("queue_get_ack_total", "counter", "Messages by basic.get, to acknowledge."), _named("got")),
    (Family("queue_get_total", "counter", "Messages by basic.get, not to acknowledge."), _named("got_no_ack")),
    (
        Family("queue_messages_delivered_ack_total", "counter", "Deliveries to consumers that acknowledge."),
        _named("delivered"),
    ),
    (
        Family("queue_messages_delivered_total", "counter", "Deliveries to consumers that need not."),
        _named("delivered_no_ack"),
    ),
    (Family("queue_messages_redelivered_total", "counter", "Those that were flagged."), _named("redelivered")),
    (Family("queue_messages_acked_total", "counter", "Messages that were acknowledged."), _named("acked")),
)
_MIRRORS: Final = (
    (Family("queue_mirrors", "gauge", "Mirrors of queues with their master here."), _named("mirrors")),
    (
        Family("queue_synchronised_mirrors", "gauge", "Those of them that are synchronised."),
        _named("synchronised_mirrors"),
    ),
)
_MISSING: Final = Family(
    "queue_mirror_missing_messages", "gauge", "Messages that mirrors lack, as far as they have told what they hold."
)


def _group(name: str, table: tuple[tuple[Family, _Figure], ...]) -> Group:
    figures = tuple(figure for _, figure in table)

    async def totals(scrape: Scrape) -> list[Row]:
        await trio.lowlevel.checkpoint()
        sums = scrape.hall.guests.totals.sums
        return [Row("", tuple([figure(sums) for figure in figures]))]

    async def each(scrape: Scrape) -> list[Row]:
        return [Row(text, tuple([figure(found) for figure in figures])) for text, found in await scrape.counted()]

    return Group(name, tuple(family for family, _ in table), totals, each)


async def _lying(scrape: Scrape) -> list[Row]:
    """What a look into each queue would tell: nobody sums that up."""
    await trio.lowlevel.checkpoint()
    return []


async def _lying_each(scrape: Scrape) -> list[Row]:
    sounding = Sounding()

    def row(vhost: str, queue: str, local: "Local") -> list[Row]:
        found = sounding.take(local.queue, durable=local.master.copy.durable)
        return [Row(labels(vhost=vhost, queue=queue), tuple([figure(found) for _, figure in _LYING]))]

    return await scrape.queues(row)


async def _missing(scrape: Scrape) -> list[Row]:
    """Only of those masters that have a mirror which lacks something: the others have nothing to add."""
    own = scrape.hall.life.node
    lacking = {name: 0 for name in schema.members(scrape.hall.tree.tree) if name != own}
    for number, local in enumerate(scrape.hall.followers.concerned()):
        if not number % 100:
            await trio.lowlevel.checkpoint()
        for node, count in _lacking(local).items():
            lacking[node] = lacking.get(node, 0) + count
    return [Row(labels(mirror=rabbit(node)), (count,)) for node, count in lacking.items()]


async def _missing_each(scrape: Scrape) -> list[Row]:
    def rows(vhost: str, queue: str, local: "Local") -> list[Row]:
        return [
            Row(labels(vhost=vhost, queue=queue, mirror=rabbit(node)), (count,))
            for node, count in _lacking(local).items()
        ]

    return await scrape.queues(rows)


def _lacking(local: "Local") -> Mapping[str, int]:
    lacking: Mapping[str, int] = local.master.witnesses.statistics()["missing"]
    return lacking


COARSE = _group("queue_coarse_metrics", _COARSE)
CONSUMERS = _group("queue_consumer_count", _CONSUMERS)
FINE = _group("queue_metrics", _FINE)
LYING = Group("queue_metrics", tuple(family for family, _ in _LYING), _lying, _lying_each)
PUBLISHED = _group("channel_queue_exchange_metrics", _PUBLISHED)
GIVEN = _group("queue_delivery_metrics", _GIVEN)
MIRRORS = _group("queue_mirror_metrics", _MIRRORS)
MISSING = Group("queue_mirror_metrics", (_MISSING,), _missing, _missing_each)
