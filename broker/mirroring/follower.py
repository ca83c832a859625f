"""What the master knows of one mirror: how far it has followed, and what it still lacks.

Decides when a mirror has seen a note of the master's log. Notes are numbered per term; each that goes out to a mirror
is remembered with the offset of the link's stream behind it, and the link's cumulative acknowledgement (received,
synced) turns offsets back into notes. It must not know queues, links or disks.
"""

from collections import deque

from broker.mirroring.ranges import Range, count, extend, remove
from broker.wire import records


class Follower:
    """One mirror under this master and term; lives as long as the stream to that life of the node."""

    __slots__ = (
        "awaited",
        "entering",
        "filled_note",
        "filling",
        "joined",
        "lacking",
        "life",
        "missing",
        "node",
        "offered",
        "received_note",
        "refused",
        "sent",
        "stated",
        "synced_note",
        "unreceived",
        "unsynced",
    )

    def __init__(self, node: str, life: int) -> None:
        self.node = node
        self.life = life
        self.offered = -1
        """Where the offer to it ends in the stream; what it says of anything before is about another time."""
        self.stated = False
        """It has accepted the term and said what it holds."""
        self.joined = False
        """Every new note goes to it as it is made."""
        self.refused = False
        """It follows a newer term: nothing it acknowledges counts here (S4)."""
        self.awaited: int | None = None
        """If set, confirms wait for it, and it may enter the in-sync set once it has synced up to this note."""
        self.entering = False
        """Its entry into the in-sync set has been proposed and not yet seen committed or refused (S2)."""
        self.missing: list[Range] = []
        """Living positions that catch-up still has to send."""
        self.lacking: list[Range] = []
        """Living positions that nobody will send (`ha-sync-mode: manual`); drained, not filled."""
        self.filling = False
        """An operator wants it filled, whatever the policy says."""
        self.filled_note = 0
        """The note up to which catch-up covers everything; it is complete once that is synced."""
        self.received_note = 0
        self.synced_note = 0
        self.sent = 0
        """The stream offset behind the last chunk of catch-up."""
        self.unreceived: deque[tuple[int, int]] = deque()
        self.unsynced: deque[tuple[int, int]] = deque()

    @property
    def missing_count(self) -> int:
        """Living messages that this mirror does not hold, as far as the master knows."""
        return count(self.missing) + count(self.lacking)

    @property
    def complete(self) -> bool:
        """It holds, or has been sent, every living record."""
        return self.joined and not self.missing and not self.lacking

    @property
    def outstanding(self) -> bool:
        """Something was sent that it has not acknowledged as synced."""
        return bool(self.unsynced)

    @property
    def outstanding_bytes(self) -> int:
        """How much of the stream to it lies between the first and the last note that it has not synced."""
        return self.unsynced[-1][1] - self.unsynced[0][1] if self.unsynced else 0

    def heeds(self, record: records.QueueRecord) -> bool:
        """Whether this new record goes to it now: all do once it has joined. Before that only those about messages
        that it may hold already, for catch-up does not come back to them."""
        return self.joined or (self.stated and isinstance(record, records.Settle | records.Returned))

    def noted(self, note: int, offset: int) -> None:
        """Note number `note` ends at `offset` of the stream to it."""
        self.unreceived.append((note, offset))
        self.unsynced.append((note, offset))

    def acknowledged(self, received: int, synced: int) -> bool:
        """Take a cumulative acknowledgement of the stream; True if a later note is now covered."""
        moved = False
        queue = self.unreceived
        while queue and queue[0][1] <= received:
            self.received_note = queue.popleft()[0]
            moved = True
        queue = self.unsynced
        while queue and queue[0][1] <= synced:
            self.synced_note = queue.popleft()[0]
            moved = True
        return moved

    def published(self, first: int, last: int) -> None:
        """New positions; a mirror that has not joined the live stream yet gets them by catch-up."""
        if self.stated and not self.joined:
            extend(self.missing, first, last)

    def settled(self, ranges: list[Range]) -> None:
        """These positions, in any order, are dead: nobody needs them any more."""
        for positions in (self.missing, self.lacking):
            if positions:
                remove(positions, ranges)
