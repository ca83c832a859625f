"""One task that ticks whichever queue is due next.

Decides when a queue looks at its clocks (message TTL, queue expiry), and notices when the wall clock was set: messages
are stamped with it, so their time follows it, that of an unused queue does not. It must not know what happens then.
"""

from heapq import heappop, heappush
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from broker.vhosts.local import Local
    from broker.vhosts.switchboard import Switchboard


STALE_ENTRIES_MAX = 1000
"""So many deadlines that moved may stand in the heap, or as many as there are that count."""

LOOK_S = 10.0
"""At least so often is looked at the clock."""
JUMP_MS = 1000
"""A wall clock that is set by less is only followed."""

_Entry = tuple[int, int]


class Timers:
    """Deadlines of the masters on this node."""

    def __init__(self, switchboard: "Switchboard") -> None:
        self._switchboard = switchboard
        self._heap: list[_Entry] = []
        """(deadline, number), also such as count no more."""
        self._waiting: dict[_Entry, Local] = {}
        self._entries: dict[Local, _Entry] = {}
        self._earlier = trio.Event()

    def watch(self, local: "Local") -> None:
        """The deadline of this queue may have changed."""
        deadline = local.queue.deadline_ms()
        if deadline is None:
            return
        known = self._entries.get(local)
        if known is not None:
            if known[0] == deadline:
                return
            del self._waiting[known]
        entry = self._entries[local] = (deadline, self._switchboard.number())
        self._waiting[entry] = local
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._waiting) + STALE_ENTRIES_MAX:
            self._heap = sorted(self._waiting)
        if self._heap[0] == entry:
            self._earlier.set()

    def forget(self, local: "Local") -> None:
        """This master is no more."""
        entry = self._entries.pop(local, None)
        if entry is not None:
            del self._waiting[entry]

    async def run(self) -> None:
        """Tick until cancelled."""
        seen_ms, seen_at = self._switchboard.stamp_ms, trio.current_time()
        while True:
            while self._heap and self._heap[0] not in self._waiting:
                heappop(self._heap)
            wait_s = (self._heap[0][0] - self._switchboard.stamp_ms) / 1000 if self._heap else 3600.0
            with trio.move_on_after(max(0.0, min(LOOK_S, wait_s))):
                await self._earlier.wait()
            self._earlier = trio.Event()
            now_ms, now = self._switchboard.stamp_ms, trio.current_time()
            jumped_ms = now_ms - seen_ms - round((now - seen_at) * 1000)
            seen_ms, seen_at = now_ms, now
            if abs(jumped_ms) > JUMP_MS:
                self._jump(jumped_ms)
            while self._heap and self._heap[0][0] <= now_ms:
                local = self._waiting.pop(heappop(self._heap), None)
                if local is not None:
                    del self._entries[local]
                    local.tick(now_ms)

    def _jump(self, by_ms: int) -> None:
        for local in list(self._entries):
            local.queue.unused.clock_jumped(by_ms)
            self.watch(local)
