"""What several queues count together, in the words of RabbitMQ's objects.

Decides which figures make a total and which tell what happened to messages. It must not know who counts.
"""

from collections.abc import Iterable, Mapping
from operator import add
from typing import Final

from broker.management.history import Values
from broker.management.ledger import QUEUE_FIGURES

DELIVERIES: Final = ("deliver", "deliver_no_ack", "get", "get_no_ack")
STATS: Final = ("publish", *DELIVERIES, "ack", "redeliver")

NOTHING: Final = (0,) * len(QUEUE_FIGURES)


def together(rows: Iterable[Values]) -> Values:
    """The sum of figures."""
    total: Values = NOTHING
    for row in rows:
        total = list(map(add, total, row))
    return total


def named(values: Values) -> dict[str, int]:
    """The figures by name."""
    return dict(zip(QUEUE_FIGURES, values, strict=True))


def totals(figures: Mapping[str, int]) -> dict[str, int]:
    """The messages of queues."""
    ready, unacknowledged = figures["messages_ready"], figures["messages_unacknowledged"]
    return {
        "messages": ready + unacknowledged,
        "messages_ready": ready,
        "messages_unacknowledged": unacknowledged,
    }


def message_stats(figures: Mapping[str, int]) -> dict[str, int]:
    """What happened to messages; nothing if nothing did."""
    stats = {name: figures[name] for name in STATS if name in figures}
    if not any(stats.values()):
        return {}
    return {**stats, "deliver_get": sum(stats[name] for name in DELIVERIES)}
