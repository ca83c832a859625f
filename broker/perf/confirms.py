"""Which publishes of a channel have their answer (publisher confirms: basic.ack and basic.nack to the publisher).

It decides what a cumulative or single answer newly covers. It must not know what was published, nor when.
"""


class Confirms:
    """The answers on one channel in confirm mode; publishes have tags from 1."""

    __slots__ = ("_ahead", "_upto")

    def __init__(self) -> None:
        self._upto = 0
        self._ahead: set[int] = set()

    @property
    def answered(self) -> int:
        """How many publishes have their answer."""
        return self._upto + len(self._ahead)

    @property
    def upto(self) -> int:
        """Every publish up to this tag has its answer."""
        return self._upto

    def answer(self, first: int, last: int, *, multiple: bool) -> list[tuple[int, int]]:
        """An answer came for first to last, or, if `multiple`, for everything up to last: the ranges that are new."""
        if multiple:
            first = self._upto + 1
        if first == self._upto + 1 and not self._ahead:
            self._upto = max(self._upto, last)
            return [(first, last)] if last >= first else []
        new: list[tuple[int, int]] = []
        for tag in range(max(first, self._upto + 1), last + 1):
            if tag not in self._ahead:
                self._ahead.add(tag)
                if new and new[-1][1] == tag - 1:
                    new[-1] = (new[-1][0], tag)
                else:
                    new.append((tag, tag))
        while self._upto + 1 in self._ahead:
            self._upto += 1
            self._ahead.remove(self._upto)
        return new
