"""Which publishes of a channel may be confirmed, and with how few words.

Decides when a publish is answered: as soon as every queue it went to has answered, in the order of publishing where
possible. One basic.ack with `multiple` covers all that is complete from the oldest on; what is complete behind
something incomplete is answered one by one; what a queue refused gets basic.nack. It must not know queues.
"""

import struct
from collections import deque
from collections.abc import Callable

from broker.meters.traffic import Flow
from broker.wire.columns import tags_into

_ANSWER = struct.Struct(">BHIHHQBB")
_ACK, _NACK = 80, 120
_MULTIPLE = 1
_REQUEUE = 2  # RabbitMQ sets this bit in the nacks it sends
_FRAME_SIZE = 21


class Pending:
    """Consecutive publishes that went to the same queues; `missing` counts the queues that have not answered yet.

    The one who publishes sets `missing` before any queue can answer; a queue that refuses some of the messages calls
    `refuse` for them and then `answer` like any other. `since` is when they came.
    """

    __slots__ = ("_line", "count", "first", "missing", "refused", "since", "written")

    def __init__(self, line: "ConfirmLine", first: int, count: int, since: float = 0.0) -> None:
        self._line = line
        self.first = first
        self.count = count
        self.since = since
        self.missing = 0
        self.refused: list[tuple[int, int]] = []
        self.written = False

    @property
    def last(self) -> int:
        """The number of the last publish."""
        return self.first + self.count - 1

    def answer(self) -> None:
        """One queue has all of these messages safe, or has refused them."""
        self.missing -= 1
        if not self.missing:
            self._line.completed(self)

    def refuse(self, start: int, stop: int) -> None:
        """A queue did not take the messages with index start up to, not including, stop."""
        self.refused.append((start, stop))


class Order:
    """Which way each of consecutive publishes went: `ways` has anything that says so. Looked into only for refusals."""

    __slots__ = ("_indexes", "ways")

    def __init__(self) -> None:
        self.ways: list[bytes] = []
        self._indexes: dict[bytes, list[int]] = {}

    def indexes_of(self, way: bytes) -> list[int]:
        """Where those stand that went this way. No more may be added then."""
        if not self._indexes:
            for index, each in enumerate(self.ways):
                self._indexes.setdefault(each, []).append(index)
        return self._indexes[way]


class Share:
    """Those of consecutive publishes that went the same way, where others went elsewhere."""

    __slots__ = ("_order", "_way", "_whole", "missing")

    def __init__(self, whole: Pending, order: Order, way: bytes) -> None:
        self._whole = whole
        self._order = order
        self._way = way
        self.missing = 1

    def answer(self) -> None:
        """The queue has them safe, or has refused them."""
        self.missing -= 1
        self._whole.answer()

    def refuse(self, start: int, stop: int) -> None:
        """The queue did not take the start-th up to, not including, the stop-th of them."""
        for index in self._order.indexes_of(self._way)[start:stop]:
            self._whole.refuse(index, index + 1)


class ConfirmLine:
    """The publishes of one channel that are not answered yet, oldest first.

    `on_complete` is called when an answer may be written: the owner then calls `take_frames` at the end of its turn.
    It counts in `flow` what it confirms, and adds to `confirmed` when that came, and how many publishes of each time.
    """

    def __init__(
        self,
        channel: int,
        on_complete: Callable[[], object],
        flow: Flow | None = None,
        confirmed: list[tuple[float, int]] | None = None,
    ) -> None:
        self._channel = channel
        self._on_complete = on_complete
        self._waiting: deque[Pending] = deque()
        self._out_of_turn: list[Pending] = []
        self._next = 1
        self._closed = False
        self._flow = flow or Flow()
        self._confirmed = [] if confirmed is None else confirmed

    def open(self, count: int, since: float = 0.0) -> Pending:
        """Number the next `count` publishes, which came at that time."""
        pending = Pending(self, self._next, count, since)
        self._next += count
        self._waiting.append(pending)
        self._on_complete()  # there may be no queue that has to answer
        return pending

    def completed(self, pending: Pending) -> None:
        """Every queue has answered for these messages."""
        if self._closed:
            return
        if pending is not self._waiting[0]:
            self._out_of_turn.append(pending)
        self._on_complete()

    def close(self) -> None:
        """Nobody will read the answers: those that come from now on do nothing."""
        self._closed = True
        self._waiting.clear()
        self._out_of_turn.clear()

    @property
    def unconfirmed(self) -> int:
        """Publishes that wait for an answer."""
        return sum(pending.count for pending in self._waiting if not pending.written)

    @property
    def complete(self) -> bool:
        """Whether nothing waits for a queue."""
        return not any(pending.missing for pending in self._waiting)

    @property
    def refused(self) -> bool:
        """Whether a queue refused a message of those that are waiting."""
        return any(pending.refused for pending in self._waiting)

    def take_frames(self) -> bytes:
        """The frames that answer for everything complete; each publish is answered once."""
        frames: list[bytes] = []
        acked = single = 0  # the last of the publishes that one ack covers; the same if it covers no other
        since, count = 0.0, 0
        waiting = self._waiting
        while waiting and not waiting[0].missing:
            pending = waiting.popleft()
            if pending.written:
                continue
            for first, last, refused in _verdicts(pending):
                if not refused:
                    single = last if first == last and not acked else 0
                    acked = last
                    if pending.since != since:
                        if count:
                            self._note(since, count)
                        since, count = pending.since, 0
                    count += last - first + 1
                    continue
                if acked:
                    frames.append(self._answer(_ACK, acked, 0 if single else _MULTIPLE))
                    acked = 0
                frames.append(self._answer(_NACK, last, _REQUEUE | _MULTIPLE))  # RabbitMQ sets it for a single one, too
        if count:
            self._note(since, count)
        if acked:
            frames.append(self._answer(_ACK, acked, 0 if single else _MULTIPLE))
        for pending in self._out_of_turn:
            if waiting and pending.first > waiting[0].first and not pending.written:
                frames += self._one_by_one(pending)
        self._out_of_turn.clear()
        return b"".join(frames)

    def _note(self, since: float, count: int) -> None:
        self._flow.confirmed += count
        self._confirmed.append((since, count))

    def _one_by_one(self, pending: Pending) -> list[bytes]:
        pending.written = True
        frames = []
        for first, last, refused in _verdicts(pending):
            count = last - first + 1
            if not refused:
                self._note(pending.since, count)
            answers = (
                bytearray(self._answer(_NACK, first, _REQUEUE) if refused else self._answer(_ACK, first, 0)) * count
            )
            tags_into(answers, 11, _FRAME_SIZE, first, count)
            frames.append(bytes(answers))
        return frames

    def _answer(self, method_id: int, tag: int, flags: int) -> bytes:
        return _ANSWER.pack(1, self._channel, 13, 60, method_id, tag, flags, 0xCE)


def _verdicts(pending: Pending) -> list[tuple[int, int, bool]]:
    """The publishes as stretches of equal answers: first number, last number, whether refused."""
    stretches = []
    index = 0
    for start, stop in sorted(pending.refused):
        if start > index:
            stretches.append((pending.first + index, pending.first + start - 1, False))
        if stop > index:
            stretches.append((pending.first + max(start, index), pending.first + stop - 1, True))
            index = stop
    if index < pending.count:
        stretches.append((pending.first + index, pending.last, False))
    return stretches
