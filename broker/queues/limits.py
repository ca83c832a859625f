"""How much a queue may hold: `x-max-length` and `x-max-length-bytes`.

Decides how many messages are too many, or how many more fit. Only ready messages and only bodies count (RabbitMQ,
"Queue Length Limit"). It must not know what happens to those that are too many.
"""

from typing import TYPE_CHECKING

from broker.queues.page import PAGE_BYTES_MAX, Page
from broker.wire.content import body_size

if TYPE_CHECKING:
    from broker.queues.line import Line
    from broker.queues.priority import Levels
    from broker.wire.message import Run


class Limits:
    """The two limits of one queue; None is no limit."""

    __slots__ = ("length", "length_bytes")

    def __init__(self, length: int | None, length_bytes: int | None) -> None:
        self.length = length
        self.length_bytes = length_bytes

    def excess(self, ready: "Line | Levels") -> int:
        """How many messages have to leave from the first piece at the head before looking again; 0 if all may stay."""
        count = 0 if self.length is None else max(0, len(ready) - self.length)
        if self.length_bytes is None:
            return count
        front = ready.front()
        too_many = ready.size_bytes - self.length_bytes
        if front is None or too_many <= 0:
            return count
        if isinstance(front, Page):
            return max(count, front.count_of(too_many))
        for index, content in enumerate(front.contents):
            if too_many <= 0:
                return max(count, index)
            too_many -= body_size(content)
        return max(count, front.count)

    def nears(self, ready: "Line | Levels") -> bool:
        """Whether it will soon count how long each of the first messages is."""
        return self.length_bytes is not None and ready.size_bytes + PAGE_BYTES_MAX > self.length_bytes

    def fitting(self, ready: "Line | Levels", run: "Run", start: int, dying: "Line | None" = None) -> int:
        """How many of the run's messages from index `start` on fit in beside those that are ready, or `dying`."""
        count = len(run.contents) - start
        if self.length is not None:
            count = min(count, max(0, self._length_left(ready, dying)))
        if self.length_bytes is None:
            return count
        left = self._bytes_left(ready, dying)
        for fitting in range(count):
            left -= body_size(run.contents[start + fitting])
            if left < 0:
                return fitting
        return count

    def unfit(self, ready: "Line | Levels", run: "Run", start: int, dying: "Line | None" = None) -> int:
        """How many messages from the one at index `start` on, which does not fit, have to stay outside before one
        fits: a smaller one may, if there is only too little room in bytes."""
        size = len(run.contents)
        if self.length_bytes is None or self._length_left(ready, dying) <= 0:
            return size - start
        left = self._bytes_left(ready, dying)
        return next((at for at in range(start + 1, size) if body_size(run.contents[at]) <= left), size) - start

    def _length_left(self, ready: "Line | Levels", dying: "Line | None") -> int:
        return 1 if self.length is None else self.length - len(ready) - (0 if dying is None else len(dying))

    def _bytes_left(self, ready: "Line | Levels", dying: "Line | None") -> int:
        return (self.length_bytes or 0) - ready.size_bytes - (0 if dying is None else dying.size_bytes)
