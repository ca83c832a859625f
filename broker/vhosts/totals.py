"""What the masters of this node count, all together, without a look at each of them whenever somebody asks.

Decides which have to be looked at: those that have done anything since. What a queue has counted stays counted when it
goes. It must not know who asks.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import trio

from broker.meters.traffic import QUEUE_TYPES, QueueType
from broker.queues.counters import COUNTED
from broker.vhosts.intake import FOR_TOTALS

if TYPE_CHECKING:
    from broker.vhosts.local import Local

STEP_QUEUES = 200
"""So many are looked at in one go, which takes a millisecond."""

GAUGES = (
    "messages_ready",
    "messages_unacked",
    "message_bytes_ready",
    "message_bytes_unacked",
    "messages_paged_out",
    "resident_bytes",
    "consumers",
    "mirrors",
    "synchronised_mirrors",
)
"""What comes and goes; what a queue counts besides only grows."""
SUMS = (*GAUGES, *COUNTED)
_NOTHING = (0,) * len(SUMS)


class Totals:
    """One per node."""

    def __init__(self, masters: Callable[[], "Iterable[Local]"]) -> None:
        self.sums = dict.fromkeys(SUMS, 0)
        self.deaths: dict[QueueType, dict[tuple[str, str], int]] = {kind: {} for kind in QUEUE_TYPES}
        """By the type of the queue, how many messages died by reason and strategy."""
        self.arrived = 0
        """Dead letters that had to arrive, and have."""
        self._masters = masters
        self._counted: dict[Local, tuple[int, ...]] = {}
        self._died: dict[Local, tuple[dict[tuple[str, str], int], int]] = {}
        """Of queues of which some did."""

    @property
    def queues(self) -> int:
        """How many there are, without those behind delayed exchanges, which no client sees."""
        return len(self._counted)

    async def count(self) -> None:
        """Bring the sums up to date; others have their turns in between."""
        changed = [local for local in self._masters() if local.changed & FOR_TOTALS]
        for start in range(0, len(changed), STEP_QUEUES):
            await trio.lowlevel.checkpoint()
            for local in changed[start : start + STEP_QUEUES]:
                if not local.ended:
                    self._look(local)

    def leave(self, local: "Local") -> None:
        """This master is about to end: what it has done still counts, what it has does not."""
        if local.ended:
            return
        self._look(local)
        if local not in self._counted:
            return
        self._died.pop(local, None)
        for name, value in zip(GAUGES, self._counted.pop(local), strict=False):
            self.sums[name] -= value

    def _look(self, local: "Local") -> None:
        """Add what is other than last time."""
        local.changed &= ~FOR_TOTALS
        before = self._counted.get(local)
        if before is None:
            if local.queue.settings.delays:
                return  # no client sees it
            before = _NOTHING
        self._counted[local] = now = _sums_of(local)
        if now != before:
            for name, value, old in zip(SUMS, now, before, strict=True):
                if value != old:
                    self.sums[name] += value - old
        if local.queue.counters.deaths:
            self._count_deaths(local)

    def _count_deaths(self, local: "Local") -> None:
        settings, counters = local.queue.settings, local.queue.counters
        died, arrived = self._died.get(local, ({}, 0))
        of_type = self.deaths["quorum" if settings.counts_returns else "classic"]
        for kind, count in counters.deaths.items():
            of_type[kind] = of_type.get(kind, 0) + count - died.get(kind, 0)
        if settings.dead_letters_must_arrive:
            self.arrived += counters.arrived - arrived
        self._died[local] = dict(counters.deaths), counters.arrived


def _sums_of(local: "Local") -> tuple[int, ...]:
    """In the order of `SUMS`."""
    queue = local.queue
    return (
        *queue.amounts(),
        len(queue.consumers.members),
        *local.master.witnesses.counts(),
        *queue.counters.values(),
    )
