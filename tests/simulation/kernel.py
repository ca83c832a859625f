"""A trio loop that does not ask the kernel for news in every turn: in a simulation there are none.

The fourth of trio's private names that the simulation needs (the runner with its `io_manager`, `entry_queue`, `runq`
and `instruments`); the test beside it fails if trio changes them. The system call in each of tens of thousands of turns
was a sixth of what a seed cost.
"""

from collections.abc import Callable
from typing import Any

from trio._core import _run


class Deaf:
    """In place of the loop's own io manager: asks it only when no task can go on, or a thread or signal has called."""

    def __init__(self, own: Any, calls: Any, more_calls: Any) -> None:
        self._own = own
        self._calls = calls
        self._more_calls = more_calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def get_events(self, timeout: float) -> Any:
        """What the kernel has to say within so many seconds."""
        return self._own.get_events(timeout) if timeout > 0 or self._calls or self._more_calls else ()

    def process_events(self, events: Any) -> None:
        """Wake whoever waited for them."""
        if events:
            self._own.process_events(events)


def take_loop() -> Callable[[], object]:
    """Make the loop that is about to run deaf. Returns what tells whether a task of it can go on.

    If trio is not as expected, all goes on as it would without: slower.
    """
    runner = getattr(_run.GLOBAL_RUN_CONTEXT, "runner", None)
    try:
        entries, ready = runner.entry_queue, runner.runq
        if not runner.instruments:
            runner.instruments = {}  # asked three times in each step: trio's own kind of dict is slow to say no
        runner.io_manager = Deaf(runner.io_manager, entries.queue, entries.idempotent_queue)
    except AttributeError:
        return lambda: True
    return ready.__len__
