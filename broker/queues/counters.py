"""What a queue has done so far, counted.

Decides nothing. Whoever draws rates samples these; nothing here costs more than an addition per run.
"""

from collections.abc import Callable
from operator import attrgetter


class Counters:
    """Messages since the queue came to this node as master; the words are those of AMQP and of the queue's verbs."""

    __slots__ = (
        "acked",
        "arrived",
        "dead_lettered",
        "deaths",
        "delivered",
        "delivered_no_ack",
        "dropped",
        "expired",
        "got",
        "got_no_ack",
        "published",
        "redelivered",
    )

    def __init__(self) -> None:
        self.published = 0
        self.delivered = 0  # to consumers that acknowledge
        self.delivered_no_ack = 0
        self.got = 0  # by basic.get, to be acknowledged
        self.got_no_ack = 0
        self.acked = 0
        self.redelivered = 0  # deliveries and gets with that flag
        self.expired = 0
        self.dropped = 0  # pushed out by a limit
        self.dead_lettered = 0
        self.arrived = 0  # of those, with their targets
        self.deaths: dict[tuple[str, str], int] = {}
        """How many died, by reason and by what was to become of them: a dead letter strategy, or `disabled`."""

    def died(self, reason: str, strategy: str, count: int) -> None:
        """So many messages."""
        self.deaths[reason, strategy] = self.deaths.get((reason, strategy), 0) + count

    def as_dict(self) -> dict[str, int]:
        """All plain counters by name."""
        return {name: getattr(self, name) for name in COUNTED}

    def values(self) -> tuple[int, ...]:
        """The same without names, in the order of `COUNTED`."""
        return _values(self)


COUNTED = tuple(name for name in Counters.__slots__ if name not in ("arrived", "deaths"))
_values: Callable[[Counters], tuple[int, ...]] = attrgetter(*COUNTED)
