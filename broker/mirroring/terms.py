"""Who owned which positions: the list of terms of one copy (DESIGN rule S4).

Decides how far two copies have the same history. A term is the zxid of the transaction that made a master; it owns
the positions from its first one up to the first of the next term. It must not know what stands at the positions.
"""

from collections.abc import Sequence

Term = tuple[int, int]


class Terms:
    """The terms of a copy in growing order, as (term, first position)."""

    __slots__ = ("entries",)

    def __init__(self, entries: Sequence[Term] = ()) -> None:
        self.entries: list[Term] = sorted((int(term), int(first)) for term, first in entries)

    @property
    def newest(self) -> int:
        """The highest term known here, 0 if there is none."""
        return self.entries[-1][0] if self.entries else 0

    def begin(self, term: int, first: int) -> None:
        """A new term owns everything from `first` on; what older terms owned there is void.

        Raises ValueError for a term that is not higher than all before it: a master appends only under a new one.
        """
        if term <= self.newest:
            raise ValueError(f"term {term} does not follow {self.newest}")
        while self.entries and self.entries[-1][1] >= first:
            self.entries.pop()
        self.entries.append((term, first))

    def owned(self, position: int) -> tuple[int, int | None]:
        """The term that owns a position (0: none is known) and the last position up to which it does (None: all)."""
        owner, upto = 0, None
        for term, first in reversed(self.entries):
            if first <= position:
                owner = term
                break
            upto = first - 1
        return owner, upto

    def bound(self, term: int) -> int | None:
        """The highest position up to which what a master of this term wrote can be here; None: all of it can."""
        return min((first - 1 for later, first in self.entries if later > term), default=None)

    def gives_way_to(self, others: Sequence[Term]) -> bool:
        """Whether every term here that the others do not have is void by one of theirs: a later one that begins no
        higher."""
        return all(
            any(later > term and start <= first for later, start in others)
            for term, first in self.entries
            if (term, first) not in others
        )

    def adopt(self, others: Sequence[Term]) -> None:
        """Take over the list of a newer master."""
        self.entries = sorted((int(term), int(first)) for term, first in others)

    def common(self, others: Sequence[Term], last: int) -> int:
        """The highest position up to which both histories are the same, at most `last` (the last position here)."""
        mine, theirs = self.entries, [(int(term), int(first)) for term, first in others]
        for left, right in zip(mine, theirs, strict=False):
            if left != right:  # the histories part where the earlier of the two different terms begins
                return min(last, left[1] - 1, right[1] - 1)
        if not mine or not theirs:
            return 0
        shorter = min(len(mine), len(theirs))
        rest = mine[shorter:] or theirs[shorter:]
        return min(last, rest[0][1] - 1) if rest else last
