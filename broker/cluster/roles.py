"""The grammar of a role, and the moves from one role to another.

Decides nothing. A role is fed by `Zab`; what it returns is the move to another role, or None to stay.
"""

from dataclasses import dataclass
from typing import Protocol

from broker.cluster.messages import Message


@dataclass(frozen=True, slots=True)
class Look:
    """Back to the election; `why` is for people."""

    why: str


@dataclass(frozen=True, slots=True)
class Lead:
    """The votes are in: lead the given epoch. `founding`: there is no history yet, everyone must take part. `view`: by
    name the lives of which all have to agree; None where a majority decides."""

    epoch: int
    founding: bool
    view: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """Follow this leader in its epoch; `view`: the one it has or means to have."""

    leader: str
    epoch: int
    view: dict[str, int] | None = None


Move = Look | Lead | Join


class Role(Protocol):
    """LOOKING, FOLLOWING or LEADING. Times are seconds of the injected clock."""

    state: str

    @property
    def epoch(self) -> int:
        """The epoch led or followed; 0 while looking."""

    @property
    def leader(self) -> str | None:
        """Who leads, as far as this member knows."""

    @property
    def active(self) -> bool:
        """Part of an established quorum, with everything applied that was committed before."""

    def in_touch(self, now: float) -> bool:
        """Whether the quorum was heard from lately."""

    def enter(self, now: float) -> Move | None:
        """Begin."""

    def receive(self, sender: str, message: Message, now: float) -> Move | None:
        """A message arrived."""

    def peer_changed(self, name: str, now: float) -> Move | None:
        """A link came or went, or a life was proven to be over."""

    def tick(self, now: float) -> Move | None:
        """Time has passed."""

    def deadline(self) -> float:
        """When `tick` is wanted next."""

    def persisted(self, now: float) -> Move | None:
        """What was ordered of the disk is done."""

    def applied(self, now: float) -> None:
        """The state machine above has applied more."""

    def flush(self) -> None:
        """Put what has gathered into the urgent outbox."""

    def flush_after_disk(self) -> None:
        """Put what the orders being taken make true into the outbox that waits for the disk."""

    def waiting_for(self) -> str:
        """In words, what keeps this member from serving; empty if nothing."""
