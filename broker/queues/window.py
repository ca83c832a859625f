"""How much of a queue's contents stays in memory, and what is read ahead.

Decides which contents go first: what was given out long ago and what stands neither at the head nor at the tail of the
ready messages; and when the next are to be loaded, so that consumers need not wait for each. It must not know where
contents go, nor who loads them: it says what left memory, which positions it wants, and takes in what comes.
"""

from typing import TYPE_CHECKING

from broker.queues.gauge import Gauge
from broker.queues.stock import Stock

if TYPE_CHECKING:
    from broker.queues.line import Line
    from broker.wire.message import Run

LOAD_BYTES_MAX = 1024 * 1024
LOAD_BYTES_MIN = 64 * 1024
PORTION_BYTES = 1024 * 1024
"""So much more than what is too much leaves memory at a time: each message takes a moment, in which clients wait."""
_NOTHING = (0, 0, 0, 0, 0, 0)


def enough_of(resident_bytes: int, window_bytes: int) -> int:
    """How much is to leave memory when so much is there: the next messages are not to bring the next call at once."""
    return resident_bytes - window_bytes + min(PORTION_BYTES, window_bytes // 2)


class Window(Stock):
    """The stock of a queue, of which so much should be in memory: `window_bytes`, as its owner said last."""

    def __init__(self, line: "Line", *, priority_max: int | None, logged: bool) -> None:
        super().__init__(line, priority_max=priority_max, logged=logged)
        self.window_bytes = LOAD_BYTES_MAX
        self._least_bytes = 0  # what `page_out` could not avoid to keep
        self._head_wanted = False
        self._gauge = Gauge(self._weigh)

    @property
    def resident_bytes(self) -> int:
        """What the contents in memory take up, about, as of a few turns ago at most: cheap enough for each turn."""
        return self._gauge.read(len(self._ready) + self._unacked.count + len(self._departures.dying))

    def _weigh(self) -> int:
        return self._ready.resident_bytes + self._unacked.resident_bytes + self._departures.dying.resident_bytes

    def _weigh_now(self) -> int:
        return self._gauge.measure(len(self._ready) + self._unacked.count + len(self._departures.dying))

    @property
    def paged_messages(self) -> int:
        """Messages whose contents are not in memory."""
        return self._ready.paged_messages + self._unacked.paged_messages + self._departures.dying.paged_messages

    def amounts(self) -> tuple[int, int, int, int, int, int]:
        """Messages that are ready and unacknowledged, the bytes of both, how many are not in memory, and what the
        others take up there. Asked of thousands of queues, of which most are empty."""
        ready, unacked, dying = self._ready, self._unacked, self._departures.dying
        ready_count, unacked_count, dying_count = len(ready), unacked.count, len(dying)
        if not (ready_count or unacked_count or dying_count):
            return _NOTHING
        paged_messages = ready.paged_messages + unacked.paged_messages + dying.paged_messages
        resident_bytes = self._gauge.read(ready_count + unacked_count + dying_count)
        return ready_count, unacked_count, ready.size_bytes, unacked.size_bytes, paged_messages, resident_bytes

    def page_out(self, window_bytes: int) -> "list[Run]":
        """Forget contents if they are more than this; returns the runs that were forgotten, each line's in order.

        Not more than is enough (see `enough_of`), and first of what is ready: about half of the window may be kept at
        both ends of that, a quarter by what is unacknowledged. All of it must be in the journal when this turn ends,
        but what is `stored` there already.
        """
        resident_bytes = self._weigh_now()
        self._least_bytes = 0 if window_bytes < self.window_bytes else min(self._least_bytes, resident_bytes)
        self.window_bytes = window_bytes
        if resident_bytes <= max(window_bytes, self._least_bytes + window_bytes // 8):
            return []
        quarter = window_bytes // 4
        enough = enough_of(resident_bytes, window_bytes)
        forgotten = self._ready.page_out(quarter, quarter, enough)
        if self._weigh_now() > resident_bytes - enough:
            forgotten += self._unacked.page_out(quarter)
            forgotten += self._departures.page_out(quarter // 2)
        self._least_bytes = self._weigh_now()
        return forgotten

    def want_head(self) -> bool:
        """Somebody wants the next message (basic.get); True if it has to be loaded for that, see `wanted`."""
        self._head_wanted = bool(len(self._ready)) and self._ready.head() is None
        return self._head_wanted

    @property
    def head_is_awaited(self) -> bool:
        """Whether somebody asked for a message that has to be loaded, and has not got it yet."""
        return self._head_wanted

    def _fill(self, runs: "list[Run]") -> None:
        """Take in what was loaded; messages that have gone to a holder or died meanwhile are not needed here."""
        self._ready.fill(runs)
        self._weigh_now()
        self._head_wanted = self._head_wanted and self._ready.head() is None and bool(len(self._ready))

    def _wanted_ahead(self) -> tuple[int, int] | None:
        """The next pages, if less than a half of what may be in memory ahead of them is."""
        return self._ready.wanted(self._load_bytes, max(1, self.window_bytes // 8))

    def _wanted_at_head(self) -> tuple[int, int] | None:
        """The next page, if it stands at the very head."""
        return None if self._ready.head() else self._ready.wanted(self._load_bytes)

    @property
    def _load_bytes(self) -> int:
        return min(LOAD_BYTES_MAX, max(LOAD_BYTES_MIN, self.window_bytes // 4))
