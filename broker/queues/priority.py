"""The ready messages of a queue with `x-max-priority`: one line per level, the highest first.

Decides only which level is next; positions are one sequence over all levels. It offers what a `Line` offers to a queue
and must know as little.
"""

from itertools import groupby
from typing import TYPE_CHECKING

from broker.queues.line import Line
from broker.queues.page import Page

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.queues.page import Piece
    from broker.wire.message import Run


class Levels:
    """Lines 0..priority_max. A message's priority above the maximum counts as the maximum (RabbitMQ, "Priority")."""

    __slots__ = ("_lines", "_used", "priority_max")

    def __init__(self, priority_max: int, pieces: "Iterable[Piece]" = ()) -> None:
        self.priority_max = priority_max
        self._lines = [Line() for _ in range(priority_max + 1)]
        self._used: dict[int, Line] = {}  # levels that ever had a message, the highest first: few of 256, mostly
        for piece in pieces:
            self.add(piece)

    def level_of(self, piece: "Piece") -> int:
        """The level at which a piece stands."""
        priority = piece.priority if isinstance(piece, Page) else piece.traits.priority
        return min(priority, self.priority_max)

    def lines(self) -> list[Line]:
        """The lines of all levels, the lowest first."""
        return self._lines

    def add(self, piece: "Piece") -> None:
        """Put a piece where it belongs."""
        level = self.level_of(piece)
        if level not in self._used:
            self._used = {used: self._lines[used] for used in sorted([*self._used, level], reverse=True)}
        self._lines[level].add(piece)

    def put_back(self, pieces: "list[Piece]") -> None:
        """Put pieces, in order, where they stood before: nothing of them may be here."""
        for level, group in groupby(sorted(pieces, key=self.level_of), key=self.level_of):
            first, *rest = group
            self.add(first)
            self._lines[level].put_back(rest)

    def may_pass(self, run: "Run") -> bool:
        """Whether a new run may be delivered without standing in line."""
        return not len(self) and self._lines[self.level_of(run)].may_pass(run)

    def at_hand(self) -> int:
        """How many messages of the next run `take` would give now; a closed mark of a high level holds up the lower."""
        line = self._next()
        return 0 if line is None else line.at_hand()

    def take(self, count_max: int) -> "Run | None":
        """Remove up to `count_max` messages of one run from the highest level that has any."""
        line = self._next()
        return None if line is None else line.take(count_max)

    def drop_head(self, count: int) -> "Piece":
        """Remove up to `count` messages of the piece that is next; there must be one."""
        line = self._next()
        if line is None:
            raise ValueError("nothing is ready")
        return line.drop_head(count)

    @property
    def first(self) -> int | None:
        """The position that is next."""
        line = self._next()
        return None if line is None else line.first

    @property
    def is_closed(self) -> bool:
        """Whether there are messages, and the one that is next is behind its mark."""
        line = self._next()
        return line is not None and line.is_closed

    def front(self) -> "Piece | None":
        """The piece that is next."""
        line = self._next()
        return None if line is None else line.front()

    def head(self) -> "Run | None":
        """The run that is next; None also if its contents are not in memory."""
        line = self._next()
        return None if line is None else line.head()

    def clear(self) -> "list[Piece]":
        """Remove everything and return it."""
        return [piece for line in self._used.values() for piece in line.clear()]

    def page_out(self, keep_head_bytes: int, keep_tail_bytes: int, enough_bytes: int) -> "list[Run]":
        """Forget all contents but about so much at both ends, shared out to the levels, or what of these is enough;
        returns what was forgotten."""
        used = [line for line in self._used.values() if line]
        shares = max(1, len(used))
        head_bytes, tail_bytes = keep_head_bytes // shares, keep_tail_bytes // shares
        forgotten: list[Run] = []
        for line in used:
            before = line.resident_bytes
            forgotten += line.page_out(head_bytes, tail_bytes, max(0, enough_bytes))
            enough_bytes -= before - line.resident_bytes
        return forgotten

    def fill(self, runs: "list[Run]") -> None:
        """Take in contents that were loaded, in order: they replace what is still a page here, and nothing else."""
        for line in self._used.values():
            line.fill(runs)

    def wanted(self, bytes_max: int, ahead_bytes: int = 0) -> tuple[int, int] | None:
        """As of a line: of the first level that has pages, and too little ahead of them."""
        for line in self._used.values():
            if line.paged_messages:
                return line.wanted(bytes_max, ahead_bytes)
            ahead_bytes -= line.resident_bytes
            if line and ahead_bytes <= 0:
                break
        return None

    @property
    def paged_messages(self) -> int:
        """Messages whose contents are not in memory."""
        return sum(line.paged_messages for line in self._used.values())

    @property
    def resident_bytes(self) -> int:
        """What the contents in memory take up, about."""
        return sum(line.resident_bytes for line in self._used.values())

    def __len__(self) -> int:
        return sum(map(len, self._used.values()))

    @property
    def size_bytes(self) -> int:
        """Bytes of all bodies."""
        return sum(line.size_bytes for line in self._used.values())

    def _next(self) -> Line | None:
        for line in self._used.values():
            if line:
                return line
        return None
