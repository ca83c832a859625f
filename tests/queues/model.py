"""A queue as a naive list of messages, beside a real one whose contents come and go.

The model says what must happen; in which order consumers are served the real queue says.
"""

from dataclasses import dataclass, field

from broker.queues.page import Page
from broker.queues.queue import Queue
from broker.queues.settings import Settings
from broker.wire.message import Run
from tests.queues.fakes import FakeConsumer

SIZE = 10


@dataclass(order=True)
class Message:
    place: tuple[int, int]  # minus level, position
    content: bytes = field(compare=False)
    due: int | None = field(compare=False)
    redelivered: bool = field(compare=False, default=False)
    returned: int = field(compare=False, default=0)

    @property
    def position(self) -> int:
        return self.place[1]


class LoggingConsumer(FakeConsumer):
    log: "list[Delivery]"

    def deliver(self, run: Run) -> None:
        super().deliver(run)
        flags = (run.redelivered, run.returned)
        self.log += [(self, run.first + i, content, flags) for i, content in enumerate(run.contents)]


Delivery = tuple[LoggingConsumer, int, bytes, tuple[bool, int]]


class QueueWithSmallLoads(Queue):
    """Wants a few messages at once only, so that few are many."""

    _load_bytes = 300


class Model:
    """Both queues, and the journal that has what the real one forgets."""

    def start(self, settings: Settings, length: int | None, *, late: bool, window_bytes: int | None) -> None:
        """`length` is the limit in messages, also where it is set in bytes; `late`: loads arrive when it pleases;
        `window_bytes` may stay in memory over the end of a turn."""
        self.settings = settings
        self.length = length
        self.late = late
        self.window_bytes = window_bytes
        self.queue = QueueWithSmallLoads(self.settings, logged=True)
        self.store: dict[int, Run] = {}
        self.loads: list[list[Run]] = []
        self.counts = dict.fromkeys(self.queue.counters.as_dict(), 0)
        self.returns: list[tuple[int, int]] = []
        self.levels = (settings.max_priority or 0) + 1
        self.now = 1000
        self.next = 1
        self.ready: list[Message] = []
        self.unacked: dict[object, list[Message]] = {}
        self.active: list[FakeConsumer] = []  # in order of arrival
        self.dying: set[int] = set()
        self.settled: set[int] = set()
        self.dead: list[tuple[str, int]] = []
        self.log: list[Delivery] = []
        self.marks: list[int | None] = [None] * self.levels

    def die(self, message: Message, reason: str) -> None:
        self.counts["expired"] += reason == "expired"
        self.counts["dropped"] += reason == "maxlen"
        self.counts["dead_lettered"] += self.settings.dead_letter_exchange is not None
        if self.settings.dead_letter_exchange is None:
            self.settled.add(message.position)
        else:
            self.dying.add(message.position)
            self.dead.append((reason, message.position))

    def expire(self) -> None:
        for level in range(self.levels):
            while mine := [message for message in self.ready if message.place[0] == -level]:
                due = mine[0].due
                if due is None or due > self.now:
                    break
                self.ready.remove(mine[0])
                self.die(mine[0], "expired")

    def shed(self) -> None:
        while self.settings.overflow == "drop-head" and self.length is not None and len(self.ready) > self.length:
            self.die(self.ready.pop(0), "maxlen")
            self.expire()

    def is_open(self) -> bool:
        if not self.ready:
            return False
        level, position = -self.ready[0].place[0], self.ready[0].position
        return self.marks[level] is None or position <= self.marks[level]

    def serve(self, *, fresh: bool = False) -> None:
        """The queue has said to whom: only the order, the flags and the number are the model's. What comes to the head
        is looked at, unless it was published just now."""
        while self.log and self.log[0][1] < self.next:
            if fresh and self.ready and self.ready[0].position != self.log[0][1]:
                return  # it came to the head when the limit took what stood before it
            consumer, position, content, flags = self.log.pop(0)
            assert self.is_open()
            message = self.ready.pop(0)
            assert (message.position, message.content) == (position, content)
            assert (message.redelivered, message.returned) == flags
            self.counts["redelivered"] += message.redelivered
            self.counts["delivered" if consumer.ack_required else "delivered_no_ack"] += 1
            if consumer.ack_required:
                self.unacked.setdefault(consumer, []).append(message)
            else:
                self.settled.add(position)
            if not fresh:
                self.expire()

    def come_back(self, messages: list[Message]) -> None:
        back = []
        for message in messages:
            if self.settings.counts_returns:
                message.returned += 1
                self.returns.append((message.position, message.returned))
            if message.returned > (self.settings.delivery_limit or 99):
                self.die(message, "delivery_limit")
            else:
                message.redelivered = True
                back.append(message)
        if back:
            self.ready = sorted(self.ready + back)
            self.expire()
            self.shed()
            self.serve()

    def some_of(self, holder: object, start: int, width: int) -> tuple[int, int, list[Message]]:
        """A range over what the holder holds, and what it holds of it."""
        mine = sorted(self.unacked.get(holder, []), key=lambda message: message.position)
        if not mine:
            return start, start + width, []
        first = mine[min(start, len(mine) - 1)].position
        chosen = [message for message in mine if first <= message.position <= first + width]
        for message in chosen:
            self.unacked[holder].remove(message)
        return first, first + width, chosen

    def heads(self) -> list[Message]:
        return [
            min(mine)
            for level in range(self.levels)
            if (mine := [message for message in self.ready if message.place[0] == -level])
        ]

    # -- what is not in memory ---------------------------------------------------------------------------------------

    def read(self, first: int, last: int, lengths: list[int]) -> list[Run]:
        """What the journal has of these positions, in runs as it likes."""
        runs: list[Run] = []
        for position in range(first, last + 1):
            run = self.store.get(position)
            if run is None:
                continue
            before = runs[-1] if runs else None
            length = lengths[len(runs) % len(lengths)]
            if (
                before is not None
                and before.last + 1 == position
                and (before.traits, before.stamp_ms) == (run.traits, run.stamp_ms)
                and before.count < length
            ):
                contents = before.contents + run.contents
                runs[-1] = Run(contents, run.address, run.traits, first=before.first, stamp_ms=run.stamp_ms)
            else:
                runs.append(run.cut(0, 1))
        return runs

    def came_in(self, runs: list[Run]) -> None:
        self.queue.page_in(runs)
        self.expire()
        self.shed()
        self.serve()

    def turn_ends(self) -> None:
        """What is too much is forgotten; all that the queue wants is loaded, or it comes later."""
        if self.window_bytes is not None:
            self.forget(self.window_bytes)
        while not self.late and (wanted := self.queue.wanted()) is not None:
            self.came_in(self.read(*wanted, [3])[:2])

    def forget(self, window_bytes: int) -> None:
        for run in self.queue.page_out(window_bytes):
            for index, content in enumerate(run.contents):
                assert self.store[run.first + index].contents == [content]
                assert self.store[run.first + index].stamp_ms == run.stamp_ms

    def memory_is_counted(self) -> None:
        paged = [piece for piece in self.queue.living() if isinstance(piece, Page)]
        assert self.queue.paged_messages == sum(page.count for page in paged)
