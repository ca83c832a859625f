"""What the masters of this node count, all together, without a look at each of them whenever somebody asks.

Decides which have to be looked at: those that have done anything since. What a queue has counted stays counted when it
goes. It must not know who asks.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import trio

from broker.meters.traffic import QUEUE_TYPES, QueueType

if TYPE_CHECKING:
    from broker.vhosts.local import Local

STEP_QUEUES = 200
"""So many are looked at in one go, which takes a millisecond."""

GAUGES = (
    "messages_ready",
    "messages_unacked",
    "messages_paged_out",
    "message_bytes_ready",
    "message_bytes_unacked",
    "consumers",
)
"""What comes and goes; everything else in a queue's statistics that is summed up only grows."""
COUNTERS = ("published", "expired", "dropped", "dead_lettered", "redelivered", "acked")


class Totals:
    """One per node."""

    def __init__(self, masters: Callable[[], "Iterable[Local]"]) -> None:
        self.sums = dict.fromkeys((*GAUGES, *COUNTERS), 0)
        self.deaths: dict[QueueType, dict[tuple[str, str], int]] = {kind: {} for kind in QUEUE_TYPES}
        """By the type of the queue, how many messages died by reason and strategy."""
        self.arrived = 0
        """Dead letters that had to arrive, and have."""
        self._masters = masters
        self._counted: dict[Local, tuple[list[int], dict[tuple[str, str], int], int]] = {}

    async def count(self) -> None:
        """Bring the sums up to date; others have their turns in between."""
        changed = [local for local in self._masters() if local.changed]
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
        now, _, _ = self._counted.pop(local)
        for name, value in zip(GAUGES, now, strict=False):
            self.sums[name] -= value

    def _look(self, local: "Local") -> None:
        """Add what is other than last time."""
        local.changed = False
        queue = local.queue
        statistics, deaths, arrived = queue.statistics(), queue.counters.deaths, queue.counters.arrived
        now = [statistics[name] for name in self.sums]
        before, died, had_arrived = self._counted.get(local, ([0] * len(now), {}, 0))
        for name, value, old in zip(self.sums, now, before, strict=True):
            if value != old:
                self.sums[name] += value - old
        if deaths != died:
            of_type = self.deaths["quorum" if queue.settings.counts_returns else "classic"]
            for kind, count in deaths.items():
                of_type[kind] = of_type.get(kind, 0) + count - died.get(kind, 0)
        if arrived != had_arrived and queue.settings.dead_letters_must_arrive:
            self.arrived += arrived - had_arrived
        self._counted[local] = now, dict(deaths) if deaths else died, arrived
