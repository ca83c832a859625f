"""What a leader knows of one follower, and what that follower is sent next.

Decides how a difference is cut into messages. It must not know who else follows, nor what is committed.
"""

from collections import deque

from broker.cluster.entries import Entry, Snapshot
from broker.cluster.member import Member
from broker.cluster.messages import NO_STAMP, Proposals, Report, SnapshotPart, encode_snapshot

BATCH_BYTES = 256 * 1024
BEATS_KEPT = 32


class Progress:
    """`sent`: the last entry sent, None while the follower waits for a snapshot. The others are as in `Report`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: int | None = None
        self.durable = 0
        self.applied = 0
        self.digest = 0
        self.round = 0
        self.marks_due = True
        self.echo = NO_STAMP
        self.has_lease = False
        self.beats: deque[tuple[float, int]] = deque(maxlen=BEATS_KEPT)

    def take(self, report: Report) -> None:
        """Marks only rise."""
        self.durable = max(self.durable, report.durable)
        self.applied, self.digest = report.applied, report.digest
        self.round = max(self.round, report.round)

    def find_echo(self, confirmed: int) -> None:
        """A beat that came before the confirmed round was sent may be given back as a lease."""
        while self.beats and self.beats[0][1] < confirmed:
            self.echo = max(self.echo, self.beats.popleft()[0])
            self.has_lease = True

    def send_entries(self, member: Member, epoch: int) -> None:
        """Everything that is in the log and was not sent, in batches."""
        if self.sent is None or self.sent >= member.history.last_zxid:
            return
        assert self.sent >= member.history.base_zxid, "what is below the snapshot cannot be sent"
        batch: list[Entry] = []
        size = 0
        for entry in member.history.after(self.sent):
            batch.append(entry)
            size += len(entry.payload)
            if size >= BATCH_BYTES:
                self._send(member, epoch, batch)
                batch, size = [], 0
        if batch:
            self._send(member, epoch, batch)

    def send_snapshot(self, member: Member, epoch: int, snapshot: Snapshot) -> None:
        """The state in slices; the entries above it follow."""
        data = encode_snapshot(snapshot)
        for offset in range(0, len(data), BATCH_BYTES):
            part = SnapshotPart(epoch, snapshot.zxid, offset, len(data), data[offset : offset + BATCH_BYTES])
            member.say(self.name, part)
        self.sent = snapshot.zxid

    def _send(self, member: Member, epoch: int, batch: list[Entry]) -> None:
        assert self.sent is not None
        member.say(self.name, Proposals(epoch, self.sent, batch))
        self.sent = batch[-1].zxid
