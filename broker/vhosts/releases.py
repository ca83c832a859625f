"""Carries messages whose delay has passed from the queue of a delayed exchange to where the exchange leads by now.

Decides when the queue may forget a message: after every target has it safe, has no room for it, or there is none: at
least once, as for dead letters. As its publisher was told that it is safe, it waits on while a target has no master. It
must not know how messages wait.
"""

from typing import TYPE_CHECKING

from broker.vhosts.dead_letters import Attempt, lack_a_master
from broker.wire.delay import passed
from broker.wire.message import Run, split_address
from broker.wire.properties import traits_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.queues.dead_letter import DeadLetter
    from broker.vhosts.handle import Handle
    from broker.vhosts.local import Local


class Releases:
    """The road on from the queue of one exchange; `route` finds queues for (exchange, key, headers, content)."""

    def __init__(self, exchange: str, route: "Callable[[str, str, dict[str, object], bytes], list[Handle]]") -> None:
        self._exchange = exchange
        self._route = route

    def send(self, source: "Local", due: "DeadLetter") -> None:
        """Publish what has waited long enough, message by message: each may have other headers."""
        for position in range(due.run.first, due.run.last + 1):
            self._send(source, due.part(position, position))

    def _send(self, source: "Local", due: "DeadLetter") -> None:
        run = due.run
        new, headers = passed(run.contents[0])
        targets = self._route(self._exchange, split_address(run.address)[1], headers, new)
        if lack_a_master(targets):
            source.keep_dead(due)  # before any of them has it: later tries must not repeat it there
            return

        def done() -> None:
            if burial.in_vain:
                source.keep_dead(due)
            else:
                source.forget_dead(run.first, run.last)

        burial = Attempt(targets, done)
        (letter,) = source.pass_on(Run([new], run.address, traits_of(new), first=run.first))
        for handle in targets:
            handle.publish(letter.afresh(), burial)
        burial.answer()
