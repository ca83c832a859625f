"""Time of a simulation: it stands still while anybody has something to do, then it is at once that of the next alarm.

What trio's own `MockClock` does with `autojump`, in one turn of the loop instead of two; and alarms of its own, which
cost a fraction of a cancel scope. Disks and wires sleep and wait here thousands of times a second of virtual time. It
must not know who waits. Under another clock `pause`, `follow` and `Bell` do the same by trio's means.
"""

import heapq
import math
from collections.abc import Callable, Iterator
from itertools import count

import outcome
import trio

from tests.simulation.kernel import take_loop

IDLE_S = 0.01
IDLE_S_MAX = 5.0
"""Real seconds; trio has wires of its own to wake itself up at the end."""
TICKS_PER_S = 8192
"""Alarms ring at ticks only: those of about the same moment are due in one turn of the loop, in which trio shuffles
whoever they wake. A tick is about the shortest time on a wire, and a power of two, so that sums stay exact."""

Action = Callable[[], None]
Alarm = list[float | Action]
"""When, a number that tells alarms of one moment apart, and what to do."""

_sleep = trio.sleep  # a simulation puts `pause` in its place


class VirtualTime(trio.abc.Clock):
    """A clock for `trio.run`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._idle_s = 0.0
        self._alarms: list[Alarm] = []
        self._numbers = count()
        self._anybody_awake: Callable[[], object] = lambda: True

    def start_clock(self) -> None:
        """See `Clock.start_clock`; it is always zero then."""
        self._anybody_awake = take_loop()

    def current_time(self) -> float:
        """See `Clock.current_time`."""
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """The loop asks for that when no task can go on: then it is the time of whatever comes next."""
        alarms = self._alarms
        while alarms and alarms[0][0] <= deadline:
            now = self.now = max(self.now, alarms[0][0])
            while alarms and alarms[0][0] <= now:
                heapq.heappop(alarms)[2]()
            if self._anybody_awake():
                return 0
        if deadline == math.inf:
            self._idle_s += IDLE_S
            if self._idle_s > IDLE_S_MAX:
                raise RuntimeError("everybody waits, and nothing will ever happen")
            return IDLE_S
        self.now = max(self.now, deadline)
        return 0

    def set_alarm(self, at: float, action: Action) -> Alarm:
        """Let this be done then, between two turns of the loop."""
        alarm: Alarm = [math.ceil(at * TICKS_PER_S) / TICKS_PER_S, next(self._numbers), action]
        heapq.heappush(self._alarms, alarm)
        return alarm


def _nothing() -> None:
    pass


async def pause(seconds: float) -> None:
    """As `trio.sleep`."""
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, VirtualTime) or not 0 < seconds < math.inf:
        await _sleep(seconds)
        return
    task = trio.lowlevel.current_task()
    alarm = clock.set_alarm(clock.now + seconds, lambda: trio.lowlevel.reschedule(task))

    def abort(raise_cancel: object) -> trio.lowlevel.Abort:
        alarm[2] = _nothing
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)


async def follow(pauses: Iterator[float | None]) -> bool:
    """Pause for each of them in turn. Whatever is done between two of them is done by the clock; nobody wakes for it.

    Returns whether that was all; None means that somebody has to look before it goes on. What it raises is raised here.
    """
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, VirtualTime):
        for seconds in pauses:
            if seconds is None:
                return False
            await _sleep(seconds)
        return True
    first = next(pauses, True)
    if first is None or first is True:
        return bool(first)
    task = trio.lowlevel.current_task()

    def go_on() -> None:
        nonlocal alarm
        result = outcome.capture(next, pauses, True)
        if isinstance(result, outcome.Error):
            trio.lowlevel.reschedule(task, result)
        elif result.value is None or result.value is True:
            trio.lowlevel.reschedule(task, outcome.Value(bool(result.value)))
        else:
            alarm = clock.set_alarm(clock.now + result.value, go_on)

    def abort(raise_cancel: object) -> trio.lowlevel.Abort:
        alarm[2] = _nothing
        return trio.lowlevel.Abort.SUCCEEDED

    alarm = clock.set_alarm(clock.now + first, go_on)
    return bool(await trio.lowlevel.wait_task_rescheduled(abort))


class Bell:
    """Wakes everybody who waits, each time it is rung."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[trio.lowlevel.Task, None] = {}

    def ring(self) -> None:
        """Wake them."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for task in waiting:
                trio.lowlevel.reschedule(task)

    def ring_at(self, at: float) -> None:
        """Wake then those who wait now, if it is not too early to tell; under another clock at once."""
        if self._waiting:
            clock = trio.lowlevel.current_clock()
            if isinstance(clock, VirtualTime):
                clock.set_alarm(at, self.ring)
            else:
                self.ring()

    async def wait(self, until: float = math.inf) -> None:
        """Wait for it, or until it is so late."""
        if until == math.inf:
            await self._wait()
            return
        clock = trio.lowlevel.current_clock()
        if not isinstance(clock, VirtualTime):
            with trio.move_on_at(until):
                await self._wait()
            return
        alarm = clock.set_alarm(until, self.ring)
        try:
            await self._wait()
        finally:
            alarm[2] = _nothing

    async def _wait(self) -> None:
        task = trio.lowlevel.current_task()
        self._waiting[task] = None

        def abort(raise_cancel: object) -> trio.lowlevel.Abort:
            del self._waiting[task]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
