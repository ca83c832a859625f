"""A row of messages that are given away from its head, as far as a mark and no further than they are in memory.

Decides what may be taken next and which contents may be forgotten: the same line serves the ready messages of a queue,
what a consumer holds unacknowledged and a mirror's copy. It must not know consumers, limits or time, nor where contents
go that it forgets.
"""

from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING

from broker.queues.page import Page, Piece, joined, paged
from broker.queues.positions import first_of
from broker.queues.row import RUN_BYTES, Row, weight_of
from broker.wire.message import Run

if TYPE_CHECKING:
    from collections.abc import Iterable

GAPS_MAX = 4  # a load may span so many times the positions that are wanted: what lies between is read for nothing


class Line(Row):
    """Living messages by position. `open_upto` is the last position that `take` may give away; None means all."""

    __slots__ = ("_enough_ahead_of", "_enough_upto", "open_upto")

    def __init__(self, pieces: "Iterable[Piece]" = ()) -> None:
        self.open_upto: int | None = None
        self._enough_ahead_of = 0  # the first page when `wanted` last looked what is in memory ahead of it
        self._enough_upto = 0  # that was enough, as long as the line begins up to this position
        super().__init__(pieces)

    # -- giving ------------------------------------------------------------------------------------------------------

    def may_pass(self, run: Run) -> bool:
        """Whether a new run may be delivered without standing in line."""
        return not self._count and (self.open_upto is None or run.last <= self.open_upto)

    def at_hand(self) -> int:
        """How many messages of the first run `take` would give now."""
        if not self._count:
            return 0
        piece = self._pieces[self._head]
        if self._pages and isinstance(piece, Page):
            return 0
        size = piece.count - self._taken
        if self.open_upto is None:
            return size
        return max(0, min(size, self.open_upto + 1 - piece.first - self._taken))

    def take(self, count_max: int, bytes_max: int | None = None) -> Run | None:
        """Remove up to `count_max` messages of one run from the head, not beyond `open_upto`.

        With `bytes_max` the contents taken are at most so long together, but one message is always given.
        """
        count = min(count_max, self.at_hand())
        if count <= 0:
            return None
        if bytes_max is not None:
            count = self._count_within(count, bytes_max)
        run = self.drop_head(count)
        assert isinstance(run, Run)  # of a page nothing is at hand
        return run

    @property
    def is_closed(self) -> bool:
        """Whether there are messages, and the first one is behind the mark."""
        return self._count > 0 and self.open_upto is not None and (self.first or 0) > self.open_upto

    def first_closed(self) -> int:
        """The first position behind `open_upto`; there must be one."""
        behind = (self.open_upto or 0) + 1
        self._trim()
        return max(behind, self._pieces[self._index_of(behind)].first)

    # -- one level of several (see `Levels`) -------------------------------------------------------------------------

    def level_of(self, piece: Piece) -> int:
        """A plain line has one level."""
        return 0

    def lines(self) -> "list[Line]":
        """The line itself, as the only one."""
        return [self]

    # -- what is in memory -------------------------------------------------------------------------------------------

    def page_out(self, keep_head_bytes: int, keep_tail_bytes: int, enough_bytes: int | None = None) -> list[Run]:
        """Forget all contents but about so much at both ends, or of these the oldest that are enough; returns the runs
        that were forgotten, the oldest first.

        A run stays as long as some of what may be kept is left, so that there is always one if anything is kept.
        """
        self._trim()
        start, stop = self._between(keep_head_bytes, keep_tail_bytes)
        if enough_bytes is not None:
            stop = self._enough(start, stop, enough_bytes)
        middle = self._pieces[start:stop]
        forgotten = [piece for piece in middle if isinstance(piece, Run)]
        if not forgotten:
            return []
        pages: list[Piece] = [piece for piece in middle if isinstance(piece, Page)]
        pages += paged(forgotten, self._bodies.upto)
        self._bodies.lose(forgotten)
        self._weights.lose(forgotten)
        self._replace(start, stop, joined(sorted(pages, key=first_of)))
        return forgotten

    def _between(self, keep_head_bytes: int, keep_tail_bytes: int) -> tuple[int, int]:
        """The indexes between which nothing need be in memory: as little of what is not, anyway, as can be told without
        a look at each page of a long line."""
        pieces, start, stop = self._pieces, self._head, len(self._pieces)
        kept = pages = 0
        while start < stop and kept < keep_head_bytes:
            kept += _weight_of(pieces[start])
            pages += isinstance(pieces[start], Page)
            start += 1
        kept = 0
        while start < stop and kept < keep_tail_bytes:
            stop -= 1
            kept += _weight_of(pieces[stop])
            pages += isinstance(pieces[stop], Page)
        newest = stop
        while newest > start and isinstance(pieces[newest - 1], Run):
            newest -= 1
        only_pages_before = newest - start == self._pages - pages
        return (newest if only_pages_before else start), stop

    def _enough(self, start: int, stop: int, enough_bytes: int) -> int:
        """Behind which index from `start` on the runs come to so much; `stop` if they do not."""
        found = 0
        for index in range(start, stop):
            if found >= enough_bytes:
                return index
            piece = self._pieces[index]
            found += 0 if isinstance(piece, Page) else _weight_of(piece)
        return stop

    def fill(self, runs: list[Run]) -> None:
        """Take in contents that were loaded, in order: they replace what is still a page here, and nothing else."""
        for run in runs:
            run.stored = True
        if not self._pages or not runs:
            return
        self._trim()
        start = self._index_of(runs[0].first)
        stop = bisect_right(self._pieces, runs[-1].last, lo=self._head, key=first_of)
        pieces: list[Piece] = []
        loaded: list[Run] = []
        at = 0
        for piece in self._pieces[start:stop]:
            if not isinstance(piece, Page):
                pieces.append(piece)
                continue
            while at < len(runs) and runs[at].last < piece.first:
                at += 1
            behind = bisect_right(runs, piece.last, lo=at, key=first_of)
            filled = list(piece.filled(runs[at:behind]))
            pieces += filled
            loaded += [run for run in filled if isinstance(run, Run)]
        if not loaded:
            return
        self._replace(start, stop, pieces)
        for run in loaded:
            self._bodies.enters(run)
            self._weights.enters(run)

    def wanted(self, bytes_max: int, ahead_bytes: int = 0) -> tuple[int, int] | None:
        """The positions of the next pages, as far as they are worth one load of about so much; None while there is
        nothing to load, or contents of more than `ahead_bytes` are in memory ahead of them."""
        if not self._pages:
            return None
        index = self._first_page()
        first = self._pieces[index].first
        if index > self._head and self._has_ahead(index, ahead_bytes):
            return None
        return first, _worth_a_load(islice(self._pieces, index, None), bytes_max)

    def wanted_of(self, first: int, last: int, bytes_max: int) -> tuple[int, int] | None:
        """As `wanted`, from the first page among these positions on."""
        if not self._pages:
            return None
        for piece in self.between(first, last):
            if isinstance(piece, Page):
                return piece.first, _worth_a_load(self.between(piece.first, self._pieces[-1].last), bytes_max)
        return None

    def _first_page(self) -> int:
        """The index of the first page; there must be one."""
        self._trim()
        index = self._index_of(self._paged_from)
        while not isinstance(self._pieces[index], Page):
            index += 1
        self._paged_from = self._pieces[index].first
        return index

    def _has_ahead(self, index: int, bytes_min: int) -> bool:
        """Whether the runs ahead of the page at this index take up at least so much in memory; looked at once only,
        until they do no more or another page is the first."""
        first = self._pieces[index].first
        if first != self._enough_ahead_of:
            self._enough_ahead_of, self._enough_upto = first, 0
            found = 0
            while index > self._head and found < bytes_min:
                index -= 1
                found += _weight_of(self._pieces[index])
            if found >= bytes_min:
                self._enough_upto = self._pieces[index].first
        return self._pieces[self._head].first <= self._enough_upto

    # -- inside ------------------------------------------------------------------------------------------------------

    def _count_within(self, count: int, bytes_max: int) -> int:
        """How many of the next `count` contents are at most `bytes_max` long together, at least one."""
        piece = self._pieces[self._head]
        contents = piece.contents if isinstance(piece, Run) else []
        total = 0
        for index in range(self._taken, self._taken + count):
            total += len(contents[index])
            if total > bytes_max:
                return max(1, index - self._taken)
        return count


def _worth_a_load(pieces: "Iterable[Piece]", bytes_max: int) -> int:
    """The last position of the pages at the beginning of these pieces that are worth one load: at least a message."""
    first = last = count = 0
    left = bytes_max
    for piece in pieces:
        first = first or piece.first
        if not isinstance(piece, Page) or (count and left < piece.weight_bytes):
            break
        if piece.last - first >= GAPS_MAX * (count + piece.count):
            break
        if left < piece.weight_bytes:
            return first + max(1, piece.count * left // piece.weight_bytes) - 1
        last = piece.last
        count += piece.count
        left -= piece.weight_bytes
    return last


def _weight_of(piece: Piece) -> int:
    """What a piece takes up in memory, or would."""
    return piece.weight_bytes if isinstance(piece, Page) else RUN_BYTES + weight_of(piece)
