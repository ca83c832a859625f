"""Messages by protocol and type of queue, as RabbitMQ's global counters have them; and how long confirms take.

Decides names, and which combinations there are. It must not know single channels or queues.
"""

from collections.abc import Callable, Iterable
from typing import Final

import trio

from broker.management.metrics.exposition import Family, Row, Value, labels
from broker.management.metrics.group import Group, Scrape
from broker.meters.traffic import QUEUE_TYPES, Deliveries, Flow
from broker.vhosts.queue_types import TYPES

_RECEIVED: Final = (
    (Family("global_messages_received_total", "counter", "Messages that clients published."), "received"),
    (
        Family("global_messages_received_confirm_total", "counter", "Messages published on channels that confirm."),
        "received_confirm",
    ),
    (Family("global_messages_confirmed_total", "counter", "Messages that were confirmed."), "confirmed"),
    (
        Family("global_messages_routed_total", "counter", "Messages that went to queues, counted for each queue."),
        "routed",
    ),
    (
        Family("global_messages_unroutable_dropped_total", "counter", "Messages for no queue, dropped."),
        "unroutable_dropped",
    ),
    (
        Family("global_messages_unroutable_returned_total", "counter", "Messages for no queue, returned."),
        "unroutable_returned",
    ),
)
_DELIVERED: Final[tuple[tuple[Family, Callable[[Deliveries], int]], ...]] = (
    (Family("global_messages_delivered_total", "counter", "Messages that clients got."), lambda one: one.delivered),
    (
        Family(
            "global_messages_delivered_consume_manual_ack_total", "counter", "Deliveries to consumers that acknowledge."
        ),
        lambda one: one.consumed_manual_ack,
    ),
    (
        Family("global_messages_delivered_consume_auto_ack_total", "counter", "Deliveries to consumers that need not."),
        lambda one: one.consumed_auto_ack,
    ),
    (
        Family("global_messages_delivered_get_manual_ack_total", "counter", "Answers to basic.get, to acknowledge."),
        lambda one: one.got_manual_ack,
    ),
    (
        Family("global_messages_delivered_get_auto_ack_total", "counter", "Answers to basic.get, not to."),
        lambda one: one.got_auto_ack,
    ),
    (
        Family("global_messages_get_empty_total", "counter", "Times that basic.get found nothing."),
        lambda one: one.get_empty,
    ),
    (
        Family("global_messages_redelivered_total", "counter", "Deliveries with the flag `redelivered`."),
        lambda one: one.redelivered,
    ),
    (
        Family("global_messages_acknowledged_total", "counter", "Messages that clients acknowledged."),
        lambda one: one.acknowledged,
    ),
)
_DEATHS: Final = ("maxlen", "expired", "rejected", "delivery_limit")
_STRATEGIES: Final = {"classic": ("at_most_once", "disabled"), "quorum": ("at_most_once", "at_least_once", "disabled")}


def _module(kind: str) -> str:
    return TYPES[kind].module


async def _received(scrape: Scrape) -> list[Row]:
    def values(flow: Flow) -> list[Value]:
        return [getattr(flow, name) for _, name in _RECEIVED]

    await trio.lowlevel.checkpoint()
    return [Row(labels(protocol=protocol), values(flow)) for protocol, flow in scrape.flows.items()]


async def _users(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    traffic = scrape.hall.meters.traffic.items()
    return [Row(labels(protocol=protocol), (one.publishers, one.consumers)) for protocol, one in traffic]


async def _delivered(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    rows = []
    for protocol, flow in scrape.flows.items():
        for kind in QUEUE_TYPES:
            deliveries = flow.deliveries(kind)
            text = labels(protocol=protocol, queue_type=_module(kind))
            rows.append(Row(text, [value(deliveries) for _, value in _DELIVERED]))
    return rows


async def _deaths(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    totals = scrape.hall.guests.totals
    rows = []
    for kind in QUEUE_TYPES:
        for strategy in _STRATEGIES[kind]:
            found = totals.deaths[kind]
            counts = [found.get((reason, strategy), 0) for reason in _DEATHS]
            must_arrive = strategy == "at_least_once"
            values = _known(zip(_DEATHS, counts, strict=True), kind, must_arrive=must_arrive)
            text = labels(queue_type=_module(kind), dead_letter_strategy=strategy)
            rows.append(Row(text, [*values, totals.arrived if must_arrive else None]))
    return rows


def _known(counts: Iterable[tuple[str, int]], kind: str, *, must_arrive: bool) -> list[Value]:
    """Without those that cannot be: only quorum queues count returns, and none that must arrive is pushed out."""
    impossible = {"delivery_limit": kind == "classic", "maxlen": must_arrive}
    return [None if impossible.get(reason) else count for reason, count in counts]


async def _confirms(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    return [Row(labels(protocol=name), (one.confirm_s,)) for name, one in scrape.hall.meters.traffic.items()]


RECEIVED = Group("", tuple(family for family, _ in _RECEIVED), _received, _received)
DELIVERED = Group("", tuple(family for family, _ in _DELIVERED), _delivered, _delivered)
USERS = Group(
    "",
    (
        Family("global_publishers", "gauge", "Open channels that have published."),
        Family("global_consumers", "gauge", "Consumers of open channels."),
    ),
    _users,
    _users,
)
DEATHS = Group(
    "",
    (
        *(
            Family(f"global_messages_dead_lettered_{reason}_total", "counter", f"Messages that died: {reason}.")
            for reason in _DEATHS
        ),
        Family(
            "global_messages_dead_lettered_confirmed_total", "counter", "Dead letters that had to arrive, and have."
        ),
    ),
    _deaths,
    _deaths,
)
CONFIRMS = Group(
    "confirm_metrics",
    (Family("confirm_latency_seconds", "histogram", "From the arrival of a publish to its confirm's leaving."),),
    _confirms,
    _confirms,
    "warren_",
)
