"""Where the messages of one queue stand: ready, given out, or dead and under way. And how far they may be given out.

Decides nothing: it is what a queue has, to be looked at without disturbing anybody, the announced mark on it, and the
outboxes in which it leaves what has gone. It must not know consumers, limits or time.
"""

from heapq import merge
from typing import TYPE_CHECKING

from broker.queues.counters import Counters
from broker.queues.departures import Departures
from broker.queues.line import Line
from broker.queues.page import Page
from broker.queues.positions import merged, ranges_of
from broker.queues.priority import Levels
from broker.queues.unacked import Unacked

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from broker.queues.dead_letter import DeadLetter
    from broker.queues.page import Piece
    from broker.queues.settings import Settings
    from broker.wire.message import Run

HEAD_BYTES = 64
"""About what goes with a body: its head, and its share of a record."""


Seen = tuple["Piece", "Hashable | None"]
"""Messages, and who holds them; None: nobody, they are ready."""


class Stock:
    """All messages of one queue. `logged` says whether somebody wants to know what settled."""

    def __init__(self, line: Line, *, priority_max: int | None, logged: bool) -> None:
        self.counters = Counters()
        self._ready: Line | Levels = line if priority_max is None else Levels(priority_max, line.clear())
        self._unacked = Unacked()
        self._departures = Departures(self.counters, logged=logged)

    def log(self) -> None:
        """From now on somebody wants to know what settled."""
        self._departures.logged = True

    # -- what is taken aside, for nobody to get it meanwhile -----------------------------------------------------------

    def take_aside(self, holder: "Hashable", first: int, last: int) -> None:
        """What is ready of the positions first..last is held, and was not delivered by that."""
        for line in self._ready.lines():
            for piece in line.remove(first, last):
                self._unacked.give(holder, piece)

    def settle_aside(self, holder: "Hashable", first: int, last: int) -> None:
        """What was taken aside of the positions first..last is gone for good."""
        for range_first, range_last in self._unacked.discard(holder, first, last):
            self._departures.settle(range_first, range_last)

    # -- what former masters gave out --------------------------------------------------------------------------------

    def settle_wherever(self, first: int, last: int) -> None:
        """Whoever got the positions first..last of a former master has acknowledged them; who has them by now has them
        for nothing."""
        found = [each for line in self._ready.lines() for each in line.discard(first, last)]
        for range_first, range_last in (*found, *self._unacked.discard_of_all(first, last)):
            self.counters.acked += range_last - range_first + 1
            self._departures.settle(range_first, range_last)

    def reject_ready(self, first: int, last: int, settings: "Settings") -> None:
        """Whoever got the positions first..last of a former master did not want them, and nobody has got them since."""
        for line in self._ready.lines():
            for piece in line.remove(first, last):
                self._departures.bury(piece, "rejected", settings)

    def _bury_worn(self, limit: int, settings: "Settings") -> None:
        """What had come back too often was still on its way elsewhere when the master before this one ended."""
        for line in self._ready.lines():
            for worn in [piece for piece in line.pieces() if piece.returned > limit]:
                for piece in line.remove(worn.first, worn.last):
                    self._departures.bury(piece, "delivery_limit", settings)

    @property
    def dying(self) -> Line:
        """Dead letters under way."""
        return self._departures.dying

    # -- outboxes ----------------------------------------------------------------------------------------------------

    @property
    def has_departed(self) -> bool:
        """Whether `take_settled` or `take_dead` have anything to tell."""
        return bool(self._departures.settled or self._departures.dead)

    def take_settled(self) -> list[tuple[int, int]]:
        """Ranges of positions that have left for good since the last call, in the order of leaving."""
        return self._departures.take_settled()

    def take_dead(self) -> "list[DeadLetter]":
        """What died since the last call, in the order of dying."""
        return self._departures.take_dead()

    def as_it_is(self, dead: "DeadLetter") -> "DeadLetter":
        """This letter without contents, if those of its messages have left memory."""
        return self._departures.as_it_is(dead)

    def settle_dead(self, first: int, last: int) -> None:
        """The dead letters of these positions are safe elsewhere, or have nowhere to go."""
        self._departures.settle_dead(first, last)

    # -- looks -------------------------------------------------------------------------------------------------------

    @property
    def messages_ready(self) -> int:
        """Messages that wait for a consumer."""
        return len(self._ready)

    @property
    def messages_unacked(self) -> int:
        """Messages given out and not answered."""
        return self._unacked.count

    @property
    def message_bytes(self) -> int:
        """Bytes of the bodies of all messages, ready and unacknowledged."""
        return self._ready.size_bytes + self._unacked.size_bytes

    @property
    def mean_bytes(self) -> int:
        """About what a message takes on a link or disk."""
        return self.message_bytes // max(1, self.messages_ready + self.messages_unacked) + HEAD_BYTES

    @property
    def first_ready(self) -> int | None:
        """The position that is next."""
        return self._ready.first

    def front(self) -> "Piece | None":
        """The piece whose first message is next."""
        return self._ready.front()

    def head(self) -> "Run | None":
        """The run whose first message is next; None also if it is not in memory."""
        return self._ready.head()

    def living(self) -> "Iterator[Piece]":
        """All that lives in the log (ready, unacknowledged, dead letters under way) by position; nobody is disturbed.

        The queue must not change while this is read.
        """
        return merged(line.pieces() for line in self._lines())

    def held(self) -> "Iterator[Piece]":
        """What is ready or unacknowledged, by position; the queue must not change while this is read."""
        return merged(line.pieces() for line in (*self._ready.lines(), *self._unacked.lines()))

    def seen_behind(self, position: int, *, ready: bool, unacked: bool) -> "Iterator[Seen]":
        """What is ready, and what is unacknowledged with whoever holds it, behind this position and in the order of
        positions; the queue must not change while this is read."""
        lines: list[tuple[Line, Hashable | None]] = [(line, None) for line in self._ready.lines()] if ready else []
        if unacked:
            lines += self._unacked.held()
        return merge(*(_seen(line, holder, position) for line, holder in lines), key=_place)

    def pieces_of(self, first: int, last: int) -> "Iterator[Piece]":
        """What lives at first..last, by position; the queue must not change while this is read."""
        return merged(line.between(first, last) for line in self._lines())

    def between(self, first: int, last: int, bytes_max: int) -> "list[Piece]":
        """What lives at first..last, by position; ends with the run that reaches `bytes_max`, or with the first
        page."""
        found: list[Piece] = []
        size = 0
        for piece in self.pieces_of(first, last):
            found.append(piece)
            if isinstance(piece, Page):
                break
            size += sum(map(len, piece.contents))
            if size >= bytes_max:
                break
        return found

    def living_ranges(self) -> list[tuple[int, int]]:
        """The positions that live, as ranges (first, last)."""
        return ranges_of(self.living())

    # -- the announced mark (DESIGN S7) ------------------------------------------------------------------------------

    @property
    def open_upto(self) -> int | None:
        """The last position that may be delivered (level 0 of a priority queue); None: no limit, on all levels."""
        return self._ready.lines()[0].open_upto

    @open_upto.setter
    def open_upto(self, upto: int | None) -> None:
        for line in self._ready.lines():
            line.open_upto = upto

    def open_level(self, level: int, upto: int) -> None:
        """Set the mark of one level of a priority queue; `pump` afterwards."""
        self._ready.lines()[level].open_upto = upto

    def level_of(self, piece: "Piece") -> int:
        """The level at which this piece stands: 0 unless this is a priority queue."""
        return self._ready.level_of(piece)

    def first_closed(self, level: int) -> int:
        """The first ready position of this level behind its mark; there must be one."""
        return self._ready.lines()[level].first_closed()

    def closed_levels(self) -> list[tuple[int, int]]:
        """(level, last ready position) of each level that has messages behind its mark: what to announce next."""
        return [
            (level, line.last)
            for level, line in enumerate(self._ready.lines())
            if line.last is not None and line.open_upto is not None and line.last > line.open_upto
        ]

    def mark_redelivered(self, upto: int, level: int = 0) -> None:
        """What is ready up to this position (of this level) may have been delivered in a former life or term."""
        self._ready.lines()[level].flag_redelivered(upto)

    def _lines(self) -> list[Line]:
        return [*self._ready.lines(), *self._unacked.lines(), self._departures.dying]


def _seen(line: Line, holder: "Hashable | None", behind: int) -> "Iterator[Seen]":
    return ((piece, holder) for piece in line.between(behind + 1, line.last or 0))


def _place(seen: Seen) -> int:
    return seen[0].first
