"""Carries dead letters from the queue where they died to where its dead letter exchange leads.

Decides when the source may forget a letter: after every target has it safe, has no room for it, or there is none
(DESIGN rule S16: at least once); one that must arrive goes out again in the last two cases. As its publisher was told
that it is safe, a letter waits on while a target has no master, but one that was pushed out: who limits a queue wants
it to hold no more. It must not know how the headers of letters are made.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.cluster.records import RUNNING
from broker.queues.dead_letter import DeadLetter, letters_of, without_cycles
from broker.wire.message import Run, split_address

if TYPE_CHECKING:
    from broker.vhosts.handle import Handle
    from broker.vhosts.local import Local


class Burial:
    """Waits until every target has answered for a letter, then lets its source forget it."""

    __slots__ = ("_done", "missing", "refused")

    def __init__(self, missing: int, done: Callable[[], None]) -> None:
        self.missing = missing
        self.refused = False
        self._done = done

    def answer(self) -> None:
        """One target has the letter safe, or will never have it."""
        self.missing -= 1
        if not self.missing:
            done = self._done
            del self._done  # it knows this burial, too: both would stay, with the letter, until somebody looks for such
            done()

    def refuse(self, start: int, stop: int) -> None:
        """A full target does not take it: then it is gone there, as in RabbitMQ, unless it must arrive."""
        self.refused = True


class Attempt(Burial):
    """A burial that may be `in_vain`: a target did not take the letter because it had no master any more."""

    __slots__ = ("_targets", "in_vain")

    def __init__(self, targets: "list[Handle]", done: Callable[[], None]) -> None:
        super().__init__(len(targets) + 1, done)
        self.in_vain = False
        self._targets = targets

    def refuse(self, start: int, stop: int) -> None:
        """It is seen now, not at the end: by then there may be another master."""
        super().refuse(start, stop)
        self.in_vain = self.in_vain or lack_a_master(self._targets)


class DeadLetters:
    """The dead letter road of one queue.

    `route` finds queues for (exchange, key, headers, content); `per_message` says whether an exchange has to be asked
    for each message, however alike they are.
    """

    def __init__(
        self,
        queue: str,
        route: "Callable[[str, str, dict[str, object], bytes], list[Handle]]",
        per_message: Callable[[str], bool],
    ) -> None:
        self._queue = queue
        self._route = route
        self._per_message = per_message

    def send(self, source: "Local", dead: DeadLetter) -> None:
        """Publish what has died."""
        for letter in letters_of(dead, self._queue, source.switchboard.stamp_ms // 1000):
            for run in source.pass_on(letter.run):
                if not self._per_message(dead.exchange):
                    self._send(source, dead, run, letter.headers)
                    continue
                for index in range(len(run.contents)):
                    single = run.cut(index, index + 1)
                    single.first = run.first and run.first + index
                    self._send(source, dead, single, letter.headers)

    def _send(self, source: "Local", dead: DeadLetter, run: Run, headers: dict[str, object]) -> None:
        exchange, key = split_address(run.address)
        routed = targets = self._route(exchange, key, headers, run.contents[0])
        allowed = set(without_cycles([handle.record.name for handle in targets], headers, dead.reason))
        targets = [handle for handle in targets if handle.record.name in allowed]
        may_wait = run.first > 0 and dead.reason != "maxlen"
        if may_wait and lack_a_master(targets):
            source.keep_dead(dead.part(run.first, run.last))  # before any has it: later tries must not repeat it there
            return

        def done() -> None:
            if (burial.in_vain and may_wait) or (dead.must_arrive and (burial.refused or not routed)):
                source.keep_dead(dead.part(run.first, run.last))
            else:
                source.forget_dead(run.first, run.last)

        burial = Attempt(targets, done)
        for handle in targets:
            handle.publish(run.afresh(), burial)
        burial.answer()


def lack_a_master(targets: "list[Handle]") -> bool:
    """Whether any of these queues cannot take anything now."""
    return any(handle.record.state != RUNNING for handle in targets)
