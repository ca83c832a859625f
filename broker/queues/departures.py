"""How messages leave a queue: settled for good, or dead and on their way elsewhere.

Decides what the queue's owner gets to read: ranges that settled, and dead letters. A dead letter with somewhere to go
lives on in the log until it is safe there (DESIGN S16). It must not know who reads, nor why a message left.
"""

from typing import TYPE_CHECKING

from broker.queues.dead_letter import DeadLetter, Reason
from broker.queues.line import Line, join_range

if TYPE_CHECKING:
    from broker.queues.counters import Counters
    from broker.queues.settings import Settings
    from broker.wire.message import Run


class Departures:
    """The two outboxes of one queue. Settled ranges are collected only if `logged`."""

    __slots__ = ("_counters", "_dead", "_settled", "dying", "logged")

    def __init__(self, counters: "Counters", *, logged: bool) -> None:
        self._counters = counters
        self.logged = logged
        self.dying = Line()  # dead letters under way: no more in the queue, but not yet safe elsewhere
        self._settled: list[tuple[int, int]] = []
        self._dead: list[DeadLetter] = []

    def settle(self, first: int, last: int) -> None:
        """These positions have left for good."""
        if self.logged:
            join_range(self._settled, first, last)

    def bury(self, run: "Run", reason: Reason, settings: "Settings") -> None:
        """A run of this queue died: a dead letter if there is an exchange for them, else gone."""
        if self.mourn(run, reason, settings):
            self.dying.add(run)
        else:
            self.settle(run.first, run.last)

    def mourn(self, run: "Run", reason: Reason, settings: "Settings") -> bool:
        """A run that never stood in this queue's log died; true if it became a dead letter."""
        if settings.dead_letter_exchange is None:
            return False
        self._counters.dead_lettered += len(run.contents)
        self._dead.append(DeadLetter(reason, run, settings.dead_letter_exchange, settings.dead_letter_routing_key))
        return True

    def settle_dead(self, first: int, last: int) -> None:
        """The dead letters of these positions are safe elsewhere, or have nowhere to go."""
        for range_first, range_last in self.dying.discard(first, last):
            self.settle(range_first, range_last)

    def take_settled(self) -> list[tuple[int, int]]:
        """The ranges settled since the last call, in the order of leaving."""
        settled, self._settled = self._settled, []
        return settled

    def take_dead(self) -> list[DeadLetter]:
        """The dead letters since the last call, in the order of dying."""
        dead, self._dead = self._dead, []
        return dead
