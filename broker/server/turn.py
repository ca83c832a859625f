"""Who has something to write at the end of a turn.

A turn is what happens between two waits of one session: the bytes of one read, parsed, routed, delivered and
confirmed. Decides that every connection that got output in a turn is flushed once, at its end, within the publisher's
own time, so that an idle consumer need not wait for a task to wake. Output outside a turn (a peer's confirm, a timer)
wakes the writer at once. It must not know what is written.
"""

from collections.abc import Callable
from typing import Protocol


class Writer(Protocol):
    """A session, as far as its output goes."""

    def flush_now(self) -> None:
        """Write what can be written without waiting, leave the rest to the writer task."""

    def wake_writer(self) -> None:
        """Let the writer task write."""


class Turn:
    """The one turn that can be under way: there is no wait inside a turn. Shared by all sessions of a node."""

    def __init__(self, before_end: Callable[[], None]) -> None:
        """`before_end` is called while the turn is still on: what queues left behind goes its way in the same turn."""
        self._before_end = before_end
        self._active = False
        self._touched: list[Writer] = []

    def has_output(self, writer: Writer) -> None:
        """A connection's outbox is no longer empty."""
        if self._active:
            self._touched.append(writer)
        else:
            writer.wake_writer()

    def begin(self) -> None:
        """From here to `end` nobody waits."""
        self._active = True

    def end(self) -> None:
        """Write."""
        self._before_end()
        self._active = False
        if self._touched:
            touched, self._touched = self._touched, []
            for writer in touched:
                writer.flush_now()
