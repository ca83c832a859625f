"""What a queue has given out and nobody has answered yet, per holder.

Decides who holds which positions. A holder is a consumer, or whatever stands for a channel that fetched with basic.get.
It must not know what an answer means: it says what was held, and the queue draws the conclusion.
"""

from typing import TYPE_CHECKING

from broker.queues.line import Line

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from broker.queues.page import Piece
    from broker.wire.message import Run


class Unacked:
    """One line of unacknowledged messages per holder. Answering the oldest of a holder costs the same for any run."""

    __slots__ = ("_lines", "_spare", "count")

    def __init__(self) -> None:
        self._lines: dict[Hashable, Line] = {}
        self._spare: Line | None = None  # an empty one: who answers at once has one of his own for a moment only
        self.count = 0

    def give(self, holder: "Hashable", run: "Piece") -> None:
        """The holder has got these messages."""
        line = self._lines.get(holder)
        if line is None:
            line = self._lines[holder] = Line() if self._spare is None else self._spare
            self._spare = None
        line.add(run)
        self.count += run.count

    def discard(self, holder: "Hashable", first: int, last: int) -> list[tuple[int, int]]:
        """Forget what the holder holds of the positions first..last; the ranges that were really there."""
        line = self._lines.get(holder)
        if line is None:
            return []
        before = len(line)
        ranges = line.discard(first, last)
        self._shrunk(holder, line, before)
        return ranges

    def discard_of_all(self, first: int, last: int) -> list[tuple[int, int]]:
        """Forget what anybody holds of the positions first..last; the ranges that were really there."""
        return [each for holder in list(self._lines) for each in self.discard(holder, first, last)]

    def take_back(self, holder: "Hashable", first: int, last: int) -> "list[Piece]":
        """Take from the holder what it holds of the positions first..last."""
        line = self._lines.get(holder)
        if line is None:
            return []
        before = len(line)
        pieces = line.remove(first, last)
        self._shrunk(holder, line, before)
        return pieces

    def release(self, holder: "Hashable") -> "list[Piece]":
        """Take everything from the holder."""
        line = self._lines.pop(holder, None)
        if line is None:
            return []
        self.count -= len(line)
        return line.clear()

    def lines(self) -> "Iterator[Line]":
        """The lines of all holders, in no particular order."""
        return iter(self._lines.values())

    def held(self) -> "list[tuple[Line, Hashable | None]]":
        """Each holder's line."""
        return [(line, holder) for holder, line in self._lines.items()]

    @property
    def size_bytes(self) -> int:
        """Bytes of all bodies."""
        return sum(line.size_bytes for line in self._lines.values())

    @property
    def resident_bytes(self) -> int:
        """What the contents in memory take up, about."""
        return sum(line.resident_bytes for line in self._lines.values())

    @property
    def paged_messages(self) -> int:
        """Messages whose contents are not in memory."""
        return sum(line.paged_messages for line in self._lines.values())

    def page_out(self, keep_bytes: int) -> "list[Run]":
        """Forget all contents but about so much: each holder may keep its share, of what it got last."""
        share = keep_bytes // max(1, len(self._lines))
        return [run for line in self._lines.values() for run in line.page_out(0, share)]

    def _shrunk(self, holder: "Hashable", line: Line, before: int) -> None:
        self.count -= before - len(line)
        if not line:
            self._spare = self._lines.pop(holder)
