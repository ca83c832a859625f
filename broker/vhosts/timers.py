"""One task that ticks whichever queue is due next.

Decides when a queue looks at its clocks (message TTL, queue expiry). It must not know what happens then.
"""

from heapq import heappop, heappush
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from broker.vhosts.local import Local
    from broker.vhosts.switchboard import Switchboard


class Timers:
    """Deadlines of the masters on this node."""

    def __init__(self, switchboard: "Switchboard") -> None:
        self._switchboard = switchboard
        self._heap: list[tuple[int, int, Local]] = []
        self._due: dict[Local, int] = {}
        self._earlier = trio.Event()

    def watch(self, local: "Local") -> None:
        """The deadline of this queue may have changed."""
        deadline = local.queue.deadline_ms()
        if deadline is None or self._due.get(local) == deadline:
            return
        self._due[local] = deadline
        heappush(self._heap, (deadline, self._switchboard.number(), local))
        self._earlier.set()

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
                heappop(self._heap)
            wait_s = (self._heap[0][0] - self._switchboard.stamp_ms) / 1000 if self._heap else 3600.0
            with trio.move_on_after(max(0.0, wait_s)):
                await self._earlier.wait()
            self._earlier = trio.Event()
            now_ms = self._switchboard.stamp_ms
            while self._heap and self._heap[0][0] <= now_ms:
                deadline, _, local = heappop(self._heap)
                if self._due.get(local) == deadline:
                    del self._due[local]
                    local.tick(now_ms)
