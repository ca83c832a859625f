"""Time of a simulation: it stands still while anybody has something to do, then it is at once that of the next alarm.

What trio's own `MockClock` does with `autojump`, in one turn of the loop instead of two; and alarms of its own, which
cost a fraction of a cancel scope. Disks and wires sleep and wait here thousands of times a second of virtual time. It
must not know who waits. Under another clock `pause` and `Bell` do the same by trio's means.
"""

import heapq
from collections.abc import Callable
from itertools import count

import trio

IDLE_S = 0.01
IDLE_S_MAX = 5.0
"""Real seconds; trio has wires of its own to wake itself up at the end."""

Action = Callable[[], None]
Alarm = list[float | Action]
"""When, a number that tells alarms of one moment apart, and what to do."""


class VirtualTime(trio.abc.Clock):
    """A clock for `trio.run`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._idle_s = 0.0
        self._alarms: list[Alarm] = []
        self._numbers = count()

    def start_clock(self) -> None:
        """See `Clock.start_clock`; it is always zero then."""

    def current_time(self) -> float:
        """See `Clock.current_time`."""
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """The loop asks for that when no task can go on: then it is the time of whatever comes next."""
        alarms = self._alarms
        if alarms and alarms[0][0] <= deadline:
            self.now = max(self.now, alarms[0][0])
            while alarms and alarms[0][0] <= self.now:
                heapq.heappop(alarms)[2]()
        elif deadline == float("inf"):
            self._idle_s += IDLE_S
            if self._idle_s > IDLE_S_MAX:
                raise RuntimeError("everybody waits, and nothing will ever happen")
            return IDLE_S
        else:
            self.now = max(self.now, deadline)
        return 0

    def set_alarm(self, at: float, action: Action) -> Alarm:
        """Let this be done then, between two turns of the loop."""
        alarm: Alarm = [at, next(self._numbers), action]
        heapq.heappush(self._alarms, alarm)
        return alarm


def _nothing() -> None:
    pass


async def pause(seconds: float) -> None:
    """As `trio.sleep`."""
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, VirtualTime):
        await trio.sleep(seconds)
        return
    task = trio.lowlevel.current_task()
    alarm = clock.set_alarm(clock.now + seconds, lambda: trio.lowlevel.reschedule(task))

    def abort(raise_cancel: object) -> trio.lowlevel.Abort:
        alarm[2] = _nothing
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)


class Bell:
    """Wakes everybody who waits, each time it is rung."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = trio.Event()

    async def wait(self, until: float = float("inf")) -> None:
        """Wait for it, or until it is so late."""
        if until == float("inf"):
            await self._event.wait()
            return
        clock = trio.lowlevel.current_clock()
        if not isinstance(clock, VirtualTime):
            with trio.move_on_at(until):
                await self._event.wait()
            return
        alarm = clock.set_alarm(until, self.ring)
        try:
            await self._event.wait()
        finally:
            alarm[2] = _nothing
