"""Virtual time: sleepers wake in order at their moments, alarms and trio's own deadlines mix, cancels are heeded."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.simulation import virtual_time
from tests.simulation.virtual_time import Bell, VirtualTime, pause


def test_alarms_and_deadlines_come_in_their_order() -> None:
    seen: list[tuple[float, str]] = []

    async def sleep(seconds: float, name: str, how: Callable[[float], Awaitable[None]]) -> None:
        await how(seconds)
        seen.append((trio.current_time(), name))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleep, 3.0, "pause", pause)
            nursery.start_soon(sleep, 2.0, "sleep", trio.sleep)
            nursery.start_soon(sleep, 1.0, "pause", pause)
            nursery.start_soon(sleep, 2.5, "sleep", trio.sleep)

    trio.run(main, clock=VirtualTime())
    assert seen == [(1.0, "pause"), (2.0, "sleep"), (2.5, "sleep"), (3.0, "pause")]


def test_a_bell_wakes_whoever_waits_in_time_or_when_it_is_late() -> None:
    async def main() -> None:
        bell = Bell()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bell.wait, 5.0)
            await bell.wait(2.0)  # rung by its own alarm, for all
            assert trio.current_time() == 2.0
            nursery.start_soon(bell.wait)
            await pause(1.0)
            bell.ring()
        assert trio.current_time() == 3.0

    trio.run(main, clock=VirtualTime())


def test_a_cancelled_pause_ends_and_its_alarm_does_nothing() -> None:
    async def main() -> None:
        with trio.move_on_after(1.0):
            await pause(5.0)
        assert trio.current_time() == 1.0
        await trio.sleep(10.0)
        assert trio.current_time() == 11.0

    trio.run(main, clock=VirtualTime())


async def test_under_another_clock_it_is_the_same(autojump_clock: trio.testing.MockClock) -> None:
    await pause(1.0)
    await Bell().wait(2.0)
    assert trio.current_time() == 2.0


def test_who_waits_for_nothing_is_told_so() -> None:
    clock = VirtualTime()
    assert clock.deadline_to_sleep_time(float("inf")) == virtual_time.IDLE_S
    clock._idle_s = virtual_time.IDLE_S_MAX
    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        clock.deadline_to_sleep_time(float("inf"))
