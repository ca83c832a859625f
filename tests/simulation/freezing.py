"""SIGSTOP for a part of a trio run: the tasks of one process stand still while timers and the network go on.

The third of trio's private names that the simulation needs (`Runner.reschedule` with its `runq`); the test beside it
fails if trio changes it. What wakes a task that stands still is kept, in order, until it goes on.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from unittest.mock import patch

from trio._core import _run

PROCESS: ContextVar[str] = ContextVar("PROCESS", default="")
"""Whose task this is; a task inherits it from the one that started it."""


class Freezer:
    """Knows which processes stand still, and which of their tasks would like to go on."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[Any, Any]]] = {}
        self._reschedule = _run.Runner.reschedule

    def freeze(self, process: str) -> None:
        """Let it stand still; a task in the middle of a step finishes that step."""
        self._waiting.setdefault(process, [])
        _run.Runner.reschedule = self._hold_back

    def thaw(self, process: str) -> None:
        """Let it go on."""
        for runner, task in self._waiting.pop(process, []):
            runner.runq.append(task)
        if not self._waiting:  # most of the time nobody stands still, and nobody pays for asking
            _run.Runner.reschedule = self._reschedule

    def thaw_all(self) -> None:
        """Let all go on."""
        for process in list(self._waiting):
            self.thaw(process)

    def is_frozen(self, process: str) -> bool:
        """Whether it stands still."""
        return process in self._waiting

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Enter it before `trio.run`."""
        with patch.object(_run.Runner, "reschedule", self._reschedule):
            yield

    @property
    def _hold_back(self) -> Callable[..., None]:
        def reschedule(runner: Any, task: Any, *outcome: Any) -> None:
            self._reschedule(runner, task, *outcome)
            waiting = self._waiting.get(task.context.get(PROCESS, ""))
            if waiting is not None:
                waiting.append((runner, runner.runq.pop()))

        return reschedule
