"""One file of the journal, as far as counting goes.

Decides what has to be known of a segment to tell when it may go: how many living messages it holds, and what its dead
and its settles are about. It must not know the file itself; the journal writes that.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.storage.ranges import Ranges

FOLDER = "journal"


class Segment:
    """`number` grows with time; a closed segment gets no more records."""

    __slots__ = (
        "closed",
        "damaged",
        "drops",
        "living",
        "mentions",
        "number",
        "published",
        "settled",
        "size_bytes",
        "taken",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.size_bytes = 0
        self.closed = False
        self.damaged = False
        self.living = 0  # messages whose newest copy is here, and that may be needed
        self.taken = 0  # messages that were ever written here
        self.mentions: set[int] = set()  # the queue ids of all records here but drops
        self.published: dict[int, Ranges] = {}  # by queue id
        self.settled: dict[int, Ranges] = {}  # by queue id; what the settle records here kill
        self.drops: set[int] = set()  # the queue ids of the drop records here

    @property
    def name(self) -> str:
        """The file below the node's folder."""
        return f"{FOLDER}/{self.number:016d}"

    @property
    def living_bytes(self) -> int:
        """What the living messages take up, about: they are taken to be as long as the dead."""
        return self.size_bytes * self.living // self.taken if self.taken else 0

    def __repr__(self) -> str:
        return f"<Segment {self.number}: {self.living} of {self.taken} living>"
