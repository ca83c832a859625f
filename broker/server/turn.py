"""Who has something to write at the end of a turn.

A turn is what happens between two waits of one session: the bytes of one read, parsed, routed, delivered and
confirmed. Decides that every connection that got output in a turn is flushed once, at its end, within the publisher's
own time, so that an idle consumer need not wait for a task to wake. Output outside a turn (a peer's confirm, a timer)
wakes the writer at once. It must not know what is written.
"""

from typing import Protocol


class Writer(Protocol):
    """A session, as far as its output goes."""

    def flush_now(self) -> None:
        """Write what can be written without waiting, leave the rest to the writer task."""

    def wake_writer(self) -> None:
        """Let the writer task write."""


class Board(Protocol):
    """Where queues leave work for the end of a turn."""

    def begin_turn(self) -> None:
        """Somebody will end this turn."""

    def end_turn(self) -> None:
        """Do what was left behind."""


class Turn:
    """The one turn that can be under way: there is no wait inside a turn. Shared by all sessions of a node."""

    def __init__(self, board: Board) -> None:
        """`board` is told of the turn: what queues left behind goes its way while it is still on."""
        self._board = board
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
        self._board.begin_turn()

    def end(self) -> None:
        """Write."""
        self._board.end_turn()
        self._active = False
        if self._touched:
            touched, self._touched = self._touched, []
            for writer in touched:
                writer.flush_now()
