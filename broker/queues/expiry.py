"""When a message is too old, and when a queue has been unused for too long.

Decides due times in wall milliseconds. Only the heads of lines are looked at, because nothing expires behind an
unexpired head (RabbitMQ, "Time-To-Live and Expiration"). It must not know what becomes of what expired.
"""

from typing import TYPE_CHECKING

from broker.queues.page import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from broker.queues.dead_letter import Reason
    from broker.queues.line import Line
    from broker.queues.page import Piece
    from broker.wire.message import Run


class MessageExpiry:
    """Time to live of messages. A run carries the smaller of the queue's and its own: what the queue's was when it came
    counts for life, here and at every successor."""

    reason: "Reason" = "expired"

    def __init__(self) -> None:
        self.may_expire = False  # saves the look at the head

    def watch(self, pieces: "Iterable[Piece]") -> None:
        """These pieces stand in line (again): one of them may have a time to live."""
        self.may_expire = self.may_expire or any(map(_expires, pieces))

    def entered(self, run: "Run") -> None:
        """The same of a new run."""
        if run.traits.expiration_ms is not None:
            self.may_expire = True

    def read(self, runs: "Iterable[Run]") -> None:
        """These were loaded; what counts of them is seen at the heads."""

    def wanted(self, lines: "Iterable[Line]", bytes_max: int) -> tuple[int, int] | None:
        """The positions of a head that may be due, and has to be loaded to know."""
        return next((line.wanted(bytes_max) for line in lines if self._is_unsure(line)), None)

    def is_unsure(self, lines: "Iterable[Line]") -> bool:
        """Whether there is such a head: whoever counts messages might count some that are too old."""
        return any(map(self._is_unsure, lines))

    def _is_unsure(self, line: "Line") -> bool:
        front = line.front() if self.may_expire and line.paged_messages else None
        return isinstance(front, Page) and front.expires

    @staticmethod
    def due_ms(run: "Run") -> int | None:
        """Wall time at which this run expires; None if never."""
        ttl_ms = run.traits.expiration_ms
        return None if ttl_ms is None else run.stamp_ms + ttl_ms

    def next_due_ms(self, lines: "Iterable[Line]") -> int | None:
        """Wall time at which the first of the lines' heads expires."""
        if not self.may_expire:
            return None
        dues = [self.due_ms(head) for line in lines if (head := line.head()) is not None]
        return min((due for due in dues if due is not None), default=None)

    def take_due(self, lines: "Iterable[Line]", stamp_ms: int) -> "Iterator[Piece]":
        """Take from the heads of the lines what is due."""
        for line in lines:
            while (head := line.head()) is not None:
                due = self.due_ms(head)
                if due is None or due > stamp_ms:
                    break
                yield line.drop_head(head.count)


def _expires(piece: "Piece") -> bool:
    return piece.expires if isinstance(piece, Page) else piece.traits.expiration_ms is not None


class QueueExpiry:
    """Expiry of an unused queue (`x-expires`): no consumer, no redeclaration, no basic.get for so long."""

    def __init__(self, expires_ms: int | None) -> None:
        self.expires_ms = expires_ms
        self._unused_since_ms: int | None = None  # None: the next tick says what time it is

    def used(self) -> None:
        """The queue was used just now."""
        self._unused_since_ms = None

    def tick(self, stamp_ms: int) -> bool:
        """True if the queue's time is over. To be called only while it has no consumer."""
        if self.expires_ms is None:
            return False
        if self._unused_since_ms is None:
            self._unused_since_ms = stamp_ms
        return stamp_ms >= self._unused_since_ms + self.expires_ms

    def clock_jumped(self, by_ms: int) -> None:
        """The wall clock was set: what was counted from then is counted from so much later."""
        if self._unused_since_ms is not None:
            self._unused_since_ms += by_ms

    def due_ms(self) -> int | None:
        """Wall time at which `tick` wants to be called; 0 is at once, None never."""
        if self.expires_ms is None:
            return None
        return 0 if self._unused_since_ms is None else self._unused_since_ms + self.expires_ms
