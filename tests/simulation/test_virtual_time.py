"""Virtual time: sleepers wake in order at their moments, alarms and trio's own deadlines mix, cancels are heeded."""

from collections.abc import Awaitable, Callable, Iterator

import pytest
import trio

from tests.simulation import virtual_time
from tests.simulation.virtual_time import Bell, VirtualTime, follow, pause


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


def test_whoever_follows_sleeps_until_all_is_done() -> None:
    done: list[float] = []
    steps: list[int] = []

    def work() -> Iterator[float | None]:
        for pause_s in (1.0, 0.5, None, 2.0):
            yield pause_s
            done.append(trio.current_time())
        raise OSError("at the end")

    async def main() -> None:
        pauses = work()
        assert not await follow(pauses)
        assert (trio.current_time(), done) == (1.5, [1.0, 1.5])
        woken = trio.lowlevel.current_task()._schedule_points
        with pytest.raises(OSError, match="at the end"):
            await follow(pauses)
        steps.append(trio.lowlevel.current_task()._schedule_points - woken)
        assert (trio.current_time(), done) == (3.5, [1.0, 1.5, 1.5, 3.5])
        assert await follow(iter(()))

    trio.run(main, clock=VirtualTime())
    assert steps == [1]


def test_nothing_more_is_done_for_whoever_was_cancelled() -> None:
    done: list[float] = []

    def work() -> Iterator[float]:
        while True:
            yield 1.0
            done.append(trio.current_time())

    async def main() -> None:
        with trio.move_on_after(2.5):
            await follow(work())
        await trio.sleep(10)

    trio.run(main, clock=VirtualTime())
    assert done == [1.0, 2.0]


def test_alarms_of_about_one_moment_are_due_in_one_turn() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(note, 1.0 - number * virtual_time.TICKS_PER_S**-1 / 5)

    async def note(seconds: float) -> None:
        await pause(seconds)
        woken.append(trio.current_time())

    woken: list[float] = []
    trio.run(main, clock=VirtualTime())
    assert woken == [1.0] * 4
