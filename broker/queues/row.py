"""Messages in the order of their positions, kept as pieces: runs, and pages for what is not in memory.

Decides where a message stands, never what happens to it. Both ends cost the same however long the pieces are; places in
the middle are found by bisection. There is nothing per message but its bytes, if those. It must not know consumers,
limits or time, nor why something is in memory.
"""

from bisect import bisect_right
from typing import TYPE_CHECKING

from broker.queues.measure import Measure
from broker.queues.page import Page, Piece, bytes_of, joined, part
from broker.queues.positions import first_of, ranges_of
from broker.wire.message import Run, Traits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

RUN_BYTES = 256
"""What a run in memory takes beside its contents, about."""
CONTENT_BYTES = 48
"""And each content beside its bytes."""

_GONE = Run([], b"\0\0", Traits())  # stands where a piece was taken from the head, so that its bytes are free at once
_COMPACT_AT = 64  # so many empty places at the head are worth a move of the rest
_SINGLY_MAX = 16  # more pieces than that are put back in one sweep: each place in a long row costs a move of the rest


def weight_of(run: Run) -> int:
    """Bytes that the contents of a run take in memory, about."""
    return run.size_bytes + CONTENT_BYTES * run.count


class Row:
    """Living messages by position."""

    __slots__ = (
        "_bodies",
        "_count",
        "_head",
        "_measured_upto",
        "_paged_bytes",
        "_paged_from",
        "_pages",
        "_pieces",
        "_taken",
        "_weights",
        "paged_messages",
    )

    def __init__(self, pieces: "Iterable[Piece]" = ()) -> None:
        self._pieces: list[Piece] = []
        self._head = 0  # index of the first piece that has living messages
        self._taken = 0  # messages of that piece which have left already
        self._count = 0
        self._bodies = Measure(bytes_of)
        self._weights = Measure(weight_of)
        self._measured_upto = 0  # by any of the two
        self._pages = 0
        self._paged_bytes = 0  # of bodies
        self._paged_from = 0  # no page begins before this position
        self.paged_messages = 0
        for piece in pieces:
            self.add(piece)

    # -- coming ------------------------------------------------------------------------------------------------------

    def append(self, piece: Piece) -> None:
        """Put a piece behind all others; its first position must be above the last one here."""
        if self._count and piece.first <= self._pieces[-1].last:
            raise ValueError(f"{piece} does not come after {self.last}")
        self._append(piece)

    def _append(self, piece: Piece) -> None:
        if isinstance(piece, Page):
            self._append_page(piece)
            return
        self._pieces.append(piece)
        self._count += piece.count
        if piece.first <= self._measured_upto:
            self._forget_measures()

    def _append_page(self, page: Page) -> None:
        self._trim()
        self._count += page.count
        self._count_page(page, 1)
        last = self._pieces[-1] if self._pieces else None
        both = last.joined(page) if isinstance(last, Page) else None
        if both is None:
            self._pieces.append(page)
        else:
            self._pieces[-1] = both
            self._pages -= 1

    def add(self, piece: Piece) -> None:
        """Append the piece, or insert it if it belongs further ahead."""
        if not self._count or piece.first > self._pieces[-1].last:
            self._append(piece)
        else:
            self.insert(piece)

    def insert(self, piece: Piece) -> None:
        """Put a piece where its positions belong; positions that are here already are skipped."""
        if not piece.count:
            return
        self._trim()
        index = self._index_of(piece.first)
        position = piece.first
        while position <= piece.last:
            stop = self._pieces[index].first if index < len(self._pieces) else piece.last + 1
            if position < stop:
                stop = min(stop, piece.last + 1)
                self._place(index, part(piece, position, stop - 1))
                index = self._index_of(stop)
                position = stop
            else:
                position = self._pieces[index].last + 1
                index += 1

    def put_back(self, pieces: list[Piece]) -> None:
        """Put pieces, in order, where they stood before: nothing of them may be here."""
        if len(pieces) <= _SINGLY_MAX:
            for piece in reversed(pieces):  # the last first: each then goes to the very head
                self.add(piece)
            return
        self._trim()
        everything = sorted([*pieces, *self._pieces[self._head :]], key=first_of)
        self._replace(self._head, len(self._pieces), everything)
        for piece in pieces:
            self._count_in(piece)

    def _place(self, index: int, piece: Piece) -> None:
        self._count_in(piece)
        if index == self._head and index > 0 and isinstance(piece, Run):
            self._head -= 1
            self._pieces[self._head] = piece
        else:
            self._replace(index, index, [piece])

    def _count_in(self, piece: Piece) -> None:
        """So much more is here; pages themselves are counted by `_replace`."""
        self._count += piece.count
        if piece.first <= self._measured_upto and isinstance(piece, Run):
            self._bodies.enters(piece)
            self._weights.enters(piece)

    # -- leaving -----------------------------------------------------------------------------------------------------

    def drop_head(self, count: int) -> Piece:
        """Remove up to `count` messages of the first piece; the row must not be empty."""
        piece = self._pieces[self._head]
        taken = self._taken
        end = min(taken + count, piece.count)
        if end - taken != piece.count:
            piece = piece.cut(taken, end)
        self._advance(end - taken)
        if piece.first <= self._measured_upto:
            self._measure_out(piece)
        return piece

    def discard(self, first: int, last: int) -> list[tuple[int, int]]:
        """Remove the positions first..last and return the ranges that really were here."""
        if self._count:
            piece = self._pieces[self._head]
            ahead = first - piece.first
            if ahead == self._taken and last - piece.first < piece.count:
                if first > self._measured_upto:
                    self._advance(last - first + 1)
                else:
                    self.drop_head(last - first + 1)
                return [(first, last)]
        return [(piece.first, piece.last) for piece in self.remove(first, last)]

    def remove(self, first: int, last: int) -> list[Piece]:
        """Remove the positions first..last and return what was there, in order."""
        removed: list[Piece] = []
        self._trim()
        while self._count and first <= self._pieces[self._head].first and self._pieces[self._head].last <= last:
            removed.append(self.drop_head(self._pieces[self._head].count))
        if not self._count:
            return removed
        start = stop = self._index_of(first)
        rest: list[Piece] = []
        while stop < len(self._pieces) and self._pieces[stop].first <= last:
            piece = self._pieces[stop]
            inner_first, inner_last = max(first, piece.first), min(last, piece.last)
            if piece.first < inner_first:
                rest.append(part(piece, piece.first, inner_first - 1))
            if inner_last < piece.last:
                rest.append(part(piece, inner_last + 1, piece.last))
            inner = part(piece, inner_first, inner_last)
            removed.append(inner)
            self._count -= inner.count
            if inner.first <= self._measured_upto:
                self._measure_out(inner)
            stop += 1
        if stop > start:
            self._replace(start, stop, rest)
        return removed

    def clear(self) -> list[Piece]:
        """Remove everything and return it."""
        pieces = list(self.pieces())
        self._pieces.clear()
        self._head = self._taken = self._count = 0
        self._pages = self._paged_bytes = self.paged_messages = 0
        self._forget_measures()
        return pieces

    # -- looking -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._count

    @property
    def first(self) -> int | None:
        """The first living position."""
        return self._pieces[self._head].first + self._taken if self._count else None

    @property
    def last(self) -> int | None:
        """The last living position."""
        return self._pieces[-1].last if self._count else None

    @property
    def size_bytes(self) -> int:
        """Bytes of all bodies. Measures only what came since the last question."""
        self._measure(self._bodies)
        return self._bodies.total + self._paged_bytes

    @property
    def resident_bytes(self) -> int:
        """What the contents in memory take up, about. Measures only what came since the last question."""
        self._measure(self._weights)
        return self._weights.total + RUN_BYTES * (len(self._pieces) - self._head - self._pages)

    def front(self) -> Piece | None:
        """The first piece, as far as it is still here."""
        self._trim()
        return self._pieces[self._head] if self._count else None

    def head(self) -> Run | None:
        """The first run, as far as it is still here; None also if its contents are not in memory."""
        front = self.front()
        return front if isinstance(front, Run) else None

    def pieces(self) -> "Iterator[Piece]":
        """All pieces in order. The row must not change meanwhile."""
        self._trim()
        for index in range(self._head, len(self._pieces)):
            yield self._pieces[index]

    def runs(self) -> "Iterator[Run]":
        """What is in memory, in order. The row must not change meanwhile."""
        return (piece for piece in self.pieces() if isinstance(piece, Run))

    def between(self, first: int, last: int) -> "Iterator[Piece]":
        """What is here of the positions first..last, in order. The row must not change meanwhile."""
        self._trim()
        for index in range(self._index_of(first), len(self._pieces)):
            piece = self._pieces[index]
            if piece.first > last:
                return
            yield part(piece, max(first, piece.first), min(last, piece.last))

    def ranges(self) -> list[tuple[int, int]]:
        """The living positions as ranges (first, last), as few as possible."""
        return ranges_of(self.pieces())

    # -- flags -------------------------------------------------------------------------------------------------------

    def flag_redelivered(self, upto: int) -> None:
        """Mark everything up to this position as delivered before."""
        self._trim()
        self._split(upto + 1)
        for index in range(self._head, len(self._pieces)):
            piece = self._pieces[index]
            if piece.first > upto:
                return
            piece.redelivered = True

    def count_returned(self, first: int, last: int, times: int) -> None:
        """What is here of the positions first..last was given back at least so often."""
        self._trim()
        for position in (first, last + 1):
            self._split(position)
        start = stop = self._index_of(first)
        while stop < len(self._pieces) and self._pieces[stop].first <= last:
            piece = self._pieces[stop]
            piece.returned = max(piece.returned, times)
            stop += 1
        if self._pages and start < stop:
            self._replace(start, stop, self._pieces[start:stop])  # what was split before may be alike again

    # -- inside ------------------------------------------------------------------------------------------------------

    def _advance(self, count: int) -> None:
        """So many messages of the first piece have left."""
        self._count -= count
        taken = self._taken
        self._taken = end = taken + count
        pieces, head = self._pieces, self._head
        if self._pages and isinstance(page := pieces[head], Page):
            self.paged_messages -= count
            self._paged_bytes -= page.share(end) - page.share(taken)
            self._pages -= end == page.count
        if end < pieces[head].count:
            return
        pieces[head] = _GONE
        self._taken = 0
        self._head = head = head + 1
        if head == len(pieces):
            pieces.clear()
            self._head = 0
        elif head >= _COMPACT_AT and head * 2 >= len(pieces):
            del pieces[:head]
            self._head = 0

    def _replace(self, start: int, stop: int, pieces: "Sequence[Piece]") -> None:
        """Let these pieces stand where those from index `start` up to, not including, `stop` stand; pages are joined
        with each other and with their neighbours. The head must be trimmed."""
        if self._pages or any(isinstance(piece, Page) for piece in pieces):
            for piece in self._pieces[start:stop]:
                if isinstance(piece, Page):
                    self._count_page(piece, -1)
            for piece in pieces:
                if isinstance(piece, Page):
                    self._count_page(piece, 1)
            before, behind = self._pieces[max(self._head, start - 1) : start], self._pieces[stop : stop + 1]
            around = [*before, *pieces, *behind]
            pieces = joined(around)
            self._pages -= len(around) - len(pieces)
            start, stop = start - len(before), stop + len(behind)
        self._pieces[start:stop] = pieces

    def _count_page(self, page: Page, sign: int) -> None:
        self._pages += sign
        self.paged_messages += sign * page.count
        self._paged_bytes += sign * page.body_bytes
        self._paged_from = min(self._paged_from, page.first)

    def _trim(self) -> None:
        """Make the first piece exactly what is left of it."""
        if self._taken:
            piece = self._pieces[self._head]
            self._pieces[self._head] = piece.cut(self._taken, piece.count)
            self._taken = 0

    def _split(self, position: int) -> None:
        """Let a piece begin here, if the position is inside of one; the head must be trimmed."""
        index = self._index_of(position)
        if index < len(self._pieces) and self._pieces[index].first < position:
            piece = self._pieces[index]
            self._pieces[index : index + 1] = [
                part(piece, piece.first, position - 1),
                part(piece, position, piece.last),
            ]
            self._pages += isinstance(piece, Page)

    def _index_of(self, position: int) -> int:
        """Index of the piece that holds the position, or of the first one behind it; the head must be trimmed."""
        index = bisect_right(self._pieces, position, lo=self._head, key=first_of)
        if index > self._head and self._pieces[index - 1].last >= position:
            return index - 1
        return index

    def _measure(self, measure: Measure) -> None:
        if self._count and self._pieces[-1].last > measure.upto:
            self._trim()
            unmeasured = self._pieces[self._index_of(measure.upto + 1) :]
            measure.extend((piece for piece in unmeasured if isinstance(piece, Run)), self._pieces[-1].last)
            self._measured_upto = max(self._measured_upto, measure.upto)

    def _measure_out(self, piece: Piece) -> None:
        if isinstance(piece, Run):
            self._bodies.leaves(piece)
            self._weights.leaves(piece)

    def _forget_measures(self) -> None:
        self._bodies.forget()
        self._weights.forget()
        self._measured_upto = 0
