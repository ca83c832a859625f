"""What becomes of messages that die: rejected, expired, pushed out by a limit, or refused by one.

Decides the shape of a dead letter and the headers that tell its story. It must not know where the dead letter exchange
leads: the hall above publishes it and says when the source may forget it.
"""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from broker.wire.message import Run

Reason = Literal["rejected", "expired", "maxlen"]


class DeadLetter:
    """A run that died, and where to it goes by the settings in force at its death.

    Until `queue.settle_dead` names its positions it stays living in the log, so that no failure loses it. A run with
    `first` 0 was never in the queue (overflow `reject-publish-dlx`) and needs no settling.
    """

    __slots__ = ("exchange", "reason", "routing_key", "run")

    def __init__(self, reason: Reason, run: "Run", exchange: str, routing_key: str | None) -> None:
        self.reason = reason
        self.run = run
        self.exchange = exchange
        self.routing_key = routing_key

    def __repr__(self) -> str:
        return f"<DeadLetter {self.reason} {self.run} to {self.exchange!r}>"
