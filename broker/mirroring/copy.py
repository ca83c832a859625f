"""What one node holds of one queue, whether it is its master or a mirror.

Decides what belongs to a copy: the living runs, who owned which positions, how far delivery was announced, and which
publishers' messages it has taken. It must not know disks, links or clients.
"""

from dataclasses import dataclass, field

from broker.mirroring.ranges import Range
from broker.mirroring.repeats import Repeats
from broker.mirroring.terms import Terms
from broker.queues.line import Line


@dataclass(slots=True)
class Copy:
    """A replica's state. `promised` is the highest term it has accepted (S4)."""

    queue_id: int
    durable: bool
    line: Line = field(default_factory=Line)
    terms: Terms = field(default_factory=Terms)
    promised: int = 0
    marks: dict[int, int] = field(default_factory=dict)
    """Per priority level the position up to which messages may have been delivered (S7)."""
    origins: dict[str, int] = field(default_factory=dict)
    """Per origin the highest sequence taken (S6)."""
    refused: dict[str, list[Range]] = field(default_factory=dict)
    """Per origin the sequences below that were not let in, as far as their publisher may not have heard of it."""
    repeats: Repeats = field(default_factory=Repeats)
    """Which letters of other queues it has taken (S16)."""
    lacking: list[Range] = field(default_factory=list)
    """Holes: living positions that this copy knows it does not hold."""
    next_position: int = 1
    paged: bool = False
    """Some of its contents went to the journal though it is not durable: what settles has to be told there, too."""

    def clear(self) -> None:
        """Become the copy of a node that has never had one."""
        fresh = Copy(self.queue_id, self.durable)
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    def truncate(self, position: int) -> list[Range]:
        """Forget everything above `position`; returns what was living there."""
        dropped = [(run.first, run.last) for run in self.line.remove(position + 1, self.next_position)]
        self.next_position = min(self.next_position, position + 1)
        return dropped
