"""A sum over the runs of a line that is kept only as far as somebody asked for it.

Decides what was counted already: everything up to a position. A line through which messages only pass is thus never
measured. It must not know what is measured, nor who asks. Pages are no part of it: what they come to is known.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from broker.queues.positions import first_of
from broker.wire.message import Run


class Measure:
    """`total` is the sum of `size_of` over the runs up to the position `upto`; none lies on both sides of that."""

    __slots__ = ("size_of", "total", "upto")

    def __init__(self, size_of: Callable[[Run], int]) -> None:
        self.size_of = size_of
        self.total = 0
        self.upto = 0

    def enters(self, run: Run) -> None:
        """The run is here now."""
        if run.last <= self.upto:
            self.total += self.size_of(run)
        elif run.first <= self.upto:
            self.forget()

    def leaves(self, run: Run) -> None:
        """The run, or a part of one that was here, is gone."""
        if run.first <= self.upto:
            self.total -= self.size_of(run)

    def lose(self, runs: Sequence[Run]) -> None:
        """These, in their order, are gone."""
        if runs and runs[0].first <= self.upto:
            if runs[-1].first > self.upto:
                runs = runs[: bisect_right(runs, self.upto, key=first_of)]
            self.total -= sum(map(self.size_of, runs))

    def extend(self, runs: Iterable[Run], upto: int) -> None:
        """Count these, which lie behind what was counted; they are all that there are up to this position."""
        self.total += sum(map(self.size_of, runs))
        self.upto = upto

    def forget(self) -> None:
        """Begin anew with the next question."""
        self.total = self.upto = 0
