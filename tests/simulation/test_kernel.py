"""The loop of a simulation does not ask the kernel; this fails if trio changes what `take_loop` relies on."""

import threading
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio._core import _run

from tests.simulation.kernel import Deaf
from tests.simulation.virtual_time import VirtualTime, pause

Main = Callable[[], Awaitable[None]]


def questions(main: Main, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time limits of all that the kernel is asked while the main task runs."""
    asked: list[float] = []
    get_events = _run.TheIOManager.get_events

    def watched(manager: object, timeout: float) -> object:
        asked.append(timeout)
        return get_events(manager, timeout)

    async def counted() -> None:
        del asked[:]  # of the beginning
        await main()
        counts.append(len(asked))

    counts: list[int] = []
    monkeypatch.setattr(_run.TheIOManager, "get_events", watched)
    trio.run(counted, clock=VirtualTime())
    return asked[: counts[0]]


def test_it_is_not_asked_while_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        assert isinstance(_run.GLOBAL_RUN_CONTEXT.runner.io_manager, Deaf)
        for _ in range(50):
            await pause(1.0)
            await trio.sleep(1.0)
            await trio.lowlevel.checkpoint()

    assert questions(main, monkeypatch) == []


def test_whoever_calls_from_outside_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        await pause(1.0)  # at its first step the loop's task for such calls needs no kernel; now it waits to be woken
        heard = trio.Event()
        token = trio.lowlevel.current_trio_token()
        caller = threading.Thread(target=token.run_sync_soon, args=(heard.set,))
        caller.start()
        caller.join()
        while not heard.is_set():
            await trio.lowlevel.checkpoint()

    asked = questions(main, monkeypatch)
    assert asked
    assert set(asked) == {0}


def test_without_trios_private_names_it_goes_on_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.simulation.virtual_time.take_loop", lambda: lambda: True)
    seen: list[float] = []

    async def main() -> None:
        await pause(1.0)
        seen.append(trio.current_time())
        await trio.sleep(1.0)
        seen.append(trio.current_time())

    assert questions(main, monkeypatch)
    assert seen == [1.0, 2.0]
