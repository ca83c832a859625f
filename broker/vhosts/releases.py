"""Carries messages whose delay has passed from the queue of a delayed exchange to where the exchange leads by now.

Decides when the queue may forget a message: after every target has it safe, refused it, or there is none: at least
once, as for dead letters. It must not know how messages wait.
"""

from typing import TYPE_CHECKING

from broker.vhosts.dead_letters import Burial
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
        for index, content in enumerate(due.run.contents):
            self._send(source, due.run.first + index, due.run.address, content)

    def _send(self, source: "Local", position: int, address: bytes, content: bytes) -> None:
        new, headers = passed(content)
        targets = self._route(self._exchange, split_address(address)[1], headers, new)
        burial = Burial(len(targets) + 1, lambda: source.forget_dead(position, position))
        for handle in targets:
            handle.publish(Run([new], address, traits_of(new)), burial)
        burial.answer()
