"""Which of the messages behind a delayed exchange are due.

Decides due times in wall milliseconds: a message waits as long as its `x-delay` says, from the moment its master took
it. What the line holds tells everything, so a restart or a promotion changes nothing. To a queue this is a way to
expire like `MessageExpiry`, only that any place of the line may be next. It must not know where messages go then.
"""

from collections import deque
from heapq import heappop, heappush
from itertools import groupby
from typing import TYPE_CHECKING

from broker.queues.page import Page, part
from broker.queues.positions import join_range
from broker.wire.delay import delay_of
from broker.wire.properties import property_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from broker.queues.dead_letter import Reason
    from broker.queues.departures import Departures
    from broker.queues.line import Line
    from broker.queues.page import Piece
    from broker.wire.message import Run

AT_ONCE_MAX = 64
"""So many messages go in one tick at most, which takes some 10 ms: others want to be served, too."""
UNDER_WAY_MAX = 4096
"""So many may be on their way to queues that have not confirmed them; the next wait for those (DESIGN S11), but not for
what waits here because its queue has no master."""


class Delays:
    """When the messages of a line are due; of those that are due together the older one goes first."""

    reason: "Reason" = "delayed"
    may_expire = True

    def __init__(self, departures: "Departures") -> None:
        """`departures`: what has gone and is not safe elsewhere."""
        self._departures = departures
        self._heap: list[tuple[int, int, int]] = []  # (due, first position, last position)
        self._unread: deque[tuple[int, int]] = deque()  # positions whose delay nobody has looked at yet

    def watch(self, pieces: "Iterable[Piece]") -> None:
        """These pieces stand in line."""
        for piece in pieces:
            if isinstance(piece, Page):
                join_range(self._unread, piece.first, piece.last)
            else:
                self.entered(piece)

    def entered(self, run: "Run") -> None:
        """The same of a new run."""
        first = run.first
        for _, group in groupby(run.contents, key=property_bytes):
            contents = list(group)
            due_ms = run.stamp_ms + delay_of(contents[0])
            heappush(self._heap, (due_ms, first, first + len(contents) - 1))
            first += len(contents)

    def read(self, runs: "list[Run]") -> None:
        """These were loaded, in order: as far as nobody has looked at their delays yet, they can be seen now."""
        left: list[tuple[int, int]] = []
        while runs and self._unread and self._unread[0][0] <= runs[-1].last:
            first, last = self._unread.popleft()
            for run in runs:
                begin, end = max(first, run.first), min(last, run.last)
                if begin <= end:
                    self.entered(part(run, begin, end))
                    if first < begin:
                        left.append((first, begin - 1))
                    first = end + 1
            if first <= last:
                left.append((first, last))
        self._unread.extendleft(reversed(left))

    def wanted(self, lines: "Iterable[Line]", bytes_max: int) -> tuple[int, int] | None:
        """The next positions whose delays have to be looked at."""
        every = list(lines)
        while self._unread:
            first, last = self._unread[0]
            for line in every:
                if (found := line.wanted_of(first, last, bytes_max)) is not None:
                    self._unread[0] = (found[0], last)  # what stood before it has gone otherwise
                    return found
            self._unread.popleft()
        return None

    @staticmethod
    def is_unsure(lines: "Iterable[Line]") -> bool:
        """Nothing here is ever too old, only due."""
        return False

    def next_due_ms(self, lines: "Iterable[Line]") -> int | None:
        """Wall time at which the first one is due; None also while too many are under way."""
        return self._heap[0][0] if self._heap and self._departures.under_way < UNDER_WAY_MAX else None

    def take_due(self, lines: "Iterable[Line]", stamp_ms: int) -> "Iterator[Piece]":
        """Take what is due, but not everything at once."""
        left = min(AT_ONCE_MAX, UNDER_WAY_MAX - self._departures.under_way)
        while left > 0 and self._heap and self._heap[0][0] <= stamp_ms:
            due_ms, first, last = heappop(self._heap)
            if last - first >= left:
                heappush(self._heap, (due_ms, first + left, last))
                last = first + left - 1
            left -= last - first + 1
            for line in lines:
                yield from line.remove(first, last)
