"""The ready messages of a queue with `x-max-priority`: one line per level, the highest first.

Decides only which level is next; positions are one sequence over all levels. It offers what a `Line` offers to a queue
and must know as little.
"""

from itertools import groupby
from typing import TYPE_CHECKING

from broker.queues.line import Line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.wire.message import Run


class Levels:
    """Lines 0..priority_max. A message's priority above the maximum counts as the maximum (RabbitMQ, "Priority")."""

    __slots__ = ("_lines", "_used", "priority_max")

    def __init__(self, priority_max: int, runs: "Iterable[Run]" = ()) -> None:
        self.priority_max = priority_max
        self._lines = [Line() for _ in range(priority_max + 1)]
        self._used: dict[int, Line] = {}  # levels that ever had a message, the highest first: few of 256, mostly
        for run in runs:
            self.add(run)

    def level_of(self, run: "Run") -> int:
        """The level at which a run stands."""
        return min(run.traits.priority, self.priority_max)

    def lines(self) -> list[Line]:
        """The lines of all levels, the lowest first."""
        return self._lines

    def add(self, run: "Run") -> None:
        """Put a run where it belongs."""
        level = self.level_of(run)
        if level not in self._used:
            self._used = {used: self._lines[used] for used in sorted([*self._used, level], reverse=True)}
        self._lines[level].add(run)

    def put_back(self, runs: "list[Run]") -> None:
        """Put runs, in order, where they stood before: nothing of them may be here."""
        for level, group in groupby(sorted(runs, key=self.level_of), key=self.level_of):
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

    def drop_head(self, count: int) -> "Run":
        """Remove up to `count` messages of the run that is next; there must be one."""
        line = self._next()
        if line is None:
            raise ValueError("nothing is ready")
        return line.drop_head(count)

    def head(self) -> "Run | None":
        """The run that is next."""
        line = self._next()
        return None if line is None else line.head()

    def clear(self) -> "list[Run]":
        """Remove everything and return it."""
        return [run for line in self._used.values() for run in line.clear()]

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
