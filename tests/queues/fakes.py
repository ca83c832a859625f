"""Messages and consumers for the tests of queues."""

from typing import TYPE_CHECKING

from broker.queues.consumers import Consumer
from broker.wire.content import make_content
from broker.wire.message import Run, Traits, make_address
from broker.wire.properties import Properties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from broker.queues.page import Piece

ADDRESS = make_address("", "q")
PLAIN = Traits()


def content(body: bytes) -> bytes:
    return make_content(1, Properties(), body, 131072)


def run_of(count: int, *, first: int = 0, size: int = 3, salt: int = 0, traits: Traits = PLAIN) -> Run:
    """A run of messages whose bodies are numbers from `salt` on, `size` bytes long."""
    bodies = [b"%0*d" % (size, salt + i) if size else b"" for i in range(count)]
    return Run([content(body) for body in bodies], ADDRESS, traits, first=first)


def positions(pieces: "Iterable[Piece]") -> list[int]:
    return [position for piece in pieces for position in range(piece.first, piece.first + piece.count)]


class FakeConsumer(Consumer):
    """Has room for `window` unanswered messages and keeps what it gets."""

    def __init__(
        self,
        tag: str = "c",
        *,
        window: int = 1 << 30,
        ack_required: bool = True,
        exclusive: bool = False,
        priority: int = 0,
    ) -> None:
        self.tag = tag
        self.ack_required = ack_required
        self.exclusive = exclusive
        self.priority = priority
        self.arguments = {}
        self.window = window
        self.runs: list[Run] = []
        self.on_delivery: Callable[[Run], None] = lambda run: None

    def room(self) -> int:
        return self.window

    def deliver(self, run: Run) -> None:
        assert 0 < len(run.contents) <= self.window
        self.window -= len(run.contents)
        self.runs.append(run)
        self.on_delivery(run)

    def take(self) -> list[int]:
        """Positions delivered since the last call."""
        runs, self.runs = self.runs, []
        return positions(runs)
