"""A frozen process stands still, whatever wakes it; this fails if trio changes what `Freezer` relies on."""

from collections.abc import Awaitable, Callable

import trio
import trio.testing
from trio._core import _run

from tests.simulation.freezing import PROCESS, Freezer


async def note(log: list[tuple[str, float]], name: str, pause_s: float, times: int) -> None:
    for _ in range(times):
        await trio.sleep(pause_s)
        log.append((name, trio.current_time()))


def start(nursery: trio.Nursery, process: str, task: Callable[..., Awaitable[None]], *args: object) -> None:
    token = PROCESS.set(process)
    nursery.start_soon(task, *args)
    PROCESS.reset(token)


def run(freezer: Freezer, main: Callable[[], Awaitable[None]]) -> None:
    before = _run.Runner.reschedule
    with freezer.installed():
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert _run.Runner.reschedule is before


def test_time_passes_it_by() -> None:
    freezer = Freezer()
    log: list[tuple[str, float]] = []

    async def main() -> None:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            start(nursery, "a", note, log, "a", 1.0, 2)
            start(nursery, "b", note, log, "b", 1.0, 3)
            await trio.sleep(1.5)
            freezer.freeze("a")
            assert freezer.is_frozen("a")
            await trio.sleep(8.5)
            freezer.thaw("a")
        log[:] = [(name, at - began) for name, at in log]

    run(freezer, main)
    assert sorted(log) == [("a", 1.0), ("a", 10.0), ("b", 1.0), ("b", 2.0), ("b", 3.0)]


def test_news_and_cancellation_wait_for_it() -> None:
    freezer = Freezer()
    woken: list[str] = []

    async def wait_for(event: trio.Event, name: str) -> None:
        try:
            await event.wait()
            woken.append(name)
            await trio.sleep_forever()
        finally:
            woken.append(f"{name} ends")

    async def main() -> None:
        event = trio.Event()
        async with trio.open_nursery() as nursery:
            start(nursery, "a", wait_for, event, "a")
            start(nursery, "b", wait_for, event, "b")
            await trio.testing.wait_all_tasks_blocked()
            freezer.freeze("a")
            event.set()
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            woken.append("thaw")
            freezer.thaw_all()

    run(freezer, main)
    assert woken == ["b", "b ends", "thaw", "a", "a ends"]
