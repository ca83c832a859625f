"""How messages leave a queue: settled for good, or dead and on their way elsewhere.

Decides what the queue's owner gets to read: ranges that settled, and dead letters. A dead letter with somewhere to go
lives on in the log until it is safe there (DESIGN S16). It must not know who reads, nor why a message left.
"""

from collections import deque
from typing import TYPE_CHECKING

from broker.queues.dead_letter import DeadLetter, Reason
from broker.queues.line import Line
from broker.queues.page import Page
from broker.queues.positions import join_range

if TYPE_CHECKING:
    from broker.queues.counters import Counters
    from broker.queues.page import Piece
    from broker.queues.settings import Settings
    from broker.wire.message import Run

KEPT_AT_ONCE_MAX = 256
"""So many letters are sent again at once, which takes some 6 ms: others want to be served, too."""
KEPT_PER_MS = 10
"""Trying again waits a millisecond longer for so many letters: else nothing else was done when there are many."""


class Departures:
    """The two outboxes of one queue. Settled ranges are collected only if `logged`."""

    __slots__ = ("_counters", "_kept_messages", "dead", "dying", "kept", "logged", "settled")

    def __init__(self, counters: "Counters", *, logged: bool) -> None:
        self._counters = counters
        self.logged = logged
        self.dying = Line()  # dead letters under way: no more in the queue, but not yet safe elsewhere
        self.settled: list[tuple[int, int]] = []  # an outbox, as the next one
        self.dead: list[DeadLetter] = []
        self.kept: deque[tuple[int, DeadLetter]] = deque()  # (when to send it again, a letter that must arrive)
        self._kept_messages = 0

    def settle(self, first: int, last: int) -> None:
        """These positions have left for good."""
        if self.logged:
            join_range(self.settled, first, last)

    def bury(self, piece: "Piece", reason: Reason, settings: "Settings") -> None:
        """A piece of this queue died: a dead letter if there is an exchange for them, else gone."""
        if self.mourn(piece, reason, settings):
            self.dying.add(piece)
        else:
            self.settle(piece.first, piece.last)

    def mourn(self, piece: "Piece", reason: Reason, settings: "Settings") -> bool:
        """A piece that never stood in this queue's log died; true if it became a dead letter."""
        if reason != "delayed":
            self._counters.died(reason, _strategy(settings), piece.count)
        if settings.dead_letter_exchange is None:
            return False
        self._counters.dead_lettered += piece.count
        self._send(reason, piece, settings.dead_letter_exchange, settings)
        return True

    def _send(self, reason: Reason, piece: "Piece", exchange: str, settings: "Settings") -> None:
        key, must_arrive = settings.dead_letter_routing_key, settings.dead_letters_must_arrive
        self.dead.append(DeadLetter(reason, piece, exchange, key, must_arrive=must_arrive))

    def page_out(self, keep_bytes: int) -> "list[Run]":
        """Forget the contents of dead letters, but about so much, and with them those of letters that wait here."""
        forgotten = self.dying.page_out(0, keep_bytes)
        if forgotten:
            self.dead = [self.as_it_is(dead) for dead in self.dead]
            self.kept = deque((until_ms, self.as_it_is(dead)) for until_ms, dead in self.kept)
        return forgotten

    def as_it_is(self, dead: DeadLetter) -> DeadLetter:
        """A letter is in memory no longer than what it tells of: else nothing would be gained."""
        first = dead.piece.first
        in_line = next(self.dying.between(first, first), None)
        return dead.paged() if isinstance(in_line, Page) else dead

    def keep(self, dead: DeadLetter, until_ms: int) -> None:
        """A letter that must arrive did not: it is to be sent again then, or later if many wait."""
        dead = self.as_it_is(dead)
        self._kept_messages += dead.piece.count
        both = self.kept[-1][1].joined(dead) if self.kept else None
        if both is not None:  # they may be millions
            self.kept[-1] = (self.kept[-1][0], both)
            return
        self.kept.append((until_ms + len(self.kept) // KEPT_PER_MS, dead))

    @property
    def under_way(self) -> int:
        """Messages that somebody may have by now; what waits to be sent again is not among them."""
        return len(self.dying) - self._kept_messages

    @property
    def kept_until_ms(self) -> int | None:
        """When the first of the kept letters is to be sent again; None if there is none."""
        return self.kept[0][0] if self.kept else None

    def send_kept(self, stamp_ms: int, settings: "Settings") -> None:
        """Send again what is due, but not everything at once, as the settings say by now."""
        left = KEPT_AT_ONCE_MAX
        while left > 0 and self.kept and self.kept[0][0] <= stamp_ms:
            _, dead = self.kept.popleft()
            left -= dead.piece.count
            self._kept_messages -= dead.piece.count
            if settings.dead_letter_exchange is None:
                self.settle_dead(dead.piece.first, dead.piece.last)
            else:
                self._send(dead.reason, dead.piece, settings.dead_letter_exchange, settings)

    def settle_dead(self, first: int, last: int) -> None:
        """The dead letters of these positions are safe elsewhere, or have nowhere to go."""
        for range_first, range_last in self.dying.discard(first, last):
            self._counters.arrived += range_last - range_first + 1
            self.settle(range_first, range_last)

    def take_settled(self) -> list[tuple[int, int]]:
        """The ranges settled since the last call, in the order of leaving."""
        settled, self.settled = self.settled, []
        return settled

    def take_dead(self) -> list[DeadLetter]:
        """The dead letters since the last call, in the order of dying."""
        dead, self.dead = self.dead, []
        return dead


def _strategy(settings: "Settings") -> str:
    """As RabbitMQ counts those that die."""
    if settings.dead_letter_exchange is None:
        return "disabled"
    return "at_least_once" if settings.dead_letters_must_arrive else "at_most_once"
