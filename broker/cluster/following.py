"""FOLLOWING: keep the same log as the leader.

Decides what is taken from the leader and when it is acknowledged: entries only behind an entry that both have, marks
only once the marker of the leader's epoch is in this log, reports only of what is on this disk. What the leader does
not have is cut off, unless it is committed here (`Diverged`). It must not know who else follows.
"""

from itertools import pairwise

from broker.cluster.entries import Entry, may_follow, zxid_of
from broker.cluster.member import Diverged, Member
from broker.cluster.messages import (
    FOLLOWING,
    LEADING,
    LOOKING,
    NO_STAMP,
    Alive,
    Follow,
    Malformed,
    Marks,
    Message,
    Proposals,
    Report,
    SnapshotPart,
    Status,
    decode_snapshot,
)
from broker.cluster.parting import is_parted
from broker.cluster.partitions import Electorate
from broker.cluster.roles import Look, Move

SNAPSHOT_BYTES_MAX = 1 << 30
SIGHTS_PER_TICKTIME = 10
"""How often a follower looks at the clock, and is heard by the others: often enough to notice that it stood still."""


class Following:
    """Following one leader in one epoch."""

    state = FOLLOWING

    def __init__(self, member: Member, leader: str, epoch: int, view: dict[str, int] | None = None) -> None:
        self._member = member
        self.leader: str | None = leader
        self._leader = leader
        self.epoch = epoch
        self._view = view
        self._marker = zxid_of(epoch, 0)
        self._report_due = False
        self._snapshot = bytearray()
        self._heard_at = self._followed_at = 0.0
        self._floor: int | None = None
        self._asked = False
        self._sight_at = 0.0

    @property
    def _synchronised(self) -> bool:
        return self._member.history.last_epoch == self.epoch

    @property
    def active(self) -> bool:
        """Everything that was committed when this member came is applied, and its admission, if it needed one."""
        member = self._member
        if self._floor is None or member.applied < self._floor:
            return False
        roll = member.history.roll_at(member.applied)
        if roll is None:
            return False
        electorate = Electorate.of([roll], None if roll.view is None else member.lives)
        return electorate.includes(member.me.name, member.me.folder)

    def in_touch(self, now: float) -> bool:
        """The leader, which leads only while a majority answers it, was heard."""
        return now - self._heard_at <= self._member.me.net_ticktime

    def enter(self, now: float) -> Move | None:
        """Promise the epoch, and offer this log."""
        member = self._member
        self._heard_at = self._sight_at = now
        member.accept(self.epoch, self._leader, self._view)
        self._follow(now)
        member.tell([name for name in member.linked if name != self._leader], self._status())
        return None

    def receive(self, sender: str, message: Message, now: float) -> Move | None:
        """The leader's word, or news of another leader."""
        if sender != self._leader:
            return self._receive_from_other(sender, message)
        if isinstance(message, Status):
            return self._hear_status(message, now)
        if isinstance(message, Follow | Report | Alive) or message.epoch != self.epoch:
            return None
        self._heard_at = now
        match message:
            case Proposals():
                self._take(message, now)
            case SnapshotPart():
                self._take_snapshot(message, now)
            case Marks():
                self._take_marks(message, now)
        return None

    def peer_changed(self, name: str, now: float) -> Move | None:
        """The leader's end is news; so is its link: what was on the way when it broke is lost."""
        peer = self._member.detector.peer(name)
        if name != self._leader:
            if peer.up:
                self._member.say(name, self._status())
        elif peer.proven_dead:
            return Look(f"the leader {name} is dead")
        elif peer.up:
            self._follow(now)
        return None

    def tick(self, now: float) -> Move | None:
        """Silence of the leader ends the following; the others hear that this member is there."""
        self._sight_at = now
        self._member.tell([name for name in self._member.linked if name != self._leader], Alive())
        if now - self._heard_at > self._member.me.net_ticktime:
            self._member.ballots.pop(self._leader, None)
            return Look(f"the leader {self._leader} is silent")
        return None

    def deadline(self) -> float:
        """The next look at the clock."""
        ticktime = self._member.me.net_ticktime
        return min(self._sight_at + ticktime / SIGHTS_PER_TICKTIME, self._heard_at + ticktime * 1.001)

    def persisted(self, now: float) -> Move | None:
        """Reports that waited for the disk are sent by `Zab` itself."""
        return None

    def applied(self, now: float) -> None:
        """Tell the leader, who waits for everyone (DESIGN S15)."""
        if self._synchronised:
            self._member.say(self._leader, self._report(self._member.durable_zxid))

    def flush(self) -> None:
        """Everything is said at once."""

    def flush_after_disk(self) -> None:
        """Acknowledge what the disk is about to be given."""
        if self._report_due:
            self._report_due = False
            self._member.say_after_disk(self._leader, self._report(self._member.history.last_zxid))

    def waiting_for(self) -> str:
        """What is missing until this member serves."""
        return "" if self.active else f"synchronising with {self._leader}"

    def woke(self, now: float) -> None:
        """This member stood still: the leader gets its full time again, and is asked whether it still leads."""
        self._heard_at = max(self._heard_at, now)
        self._member.say(self._leader, self._report(self._member.durable_zxid, stamp=now))

    # The leader's word.

    def _hear_status(self, status: Status, now: float) -> Move | None:
        if status.state != LEADING or status.epoch != self.epoch:
            return Look(f"{self._leader} leads epoch {self.epoch} no more")
        self._heard_at = now
        if now - self._followed_at > self._member.me.net_ticktime / SIGHTS_PER_TICKTIME / 2:
            self._follow(now)  # the leader says this only to members that it does not count as its followers
        return None

    def _receive_from_other(self, sender: str, message: Message) -> Move | None:
        if isinstance(message, Status):
            newer = message.state == LEADING and message.epoch > self.epoch
            if newer and (message.established or not self.active) and not is_parted(self._member, message):
                return Look(f"{sender} leads epoch {message.epoch}")
            if message.state != LOOKING:
                return None
        elif isinstance(message, Follow | Report | Alive):
            return None
        self._member.say(sender, self._status())
        return None

    def _take(self, proposals: Proposals, now: float) -> None:
        history = self._member.history
        if not history.contains(proposals.previous):
            self._follow_again(now)
            return
        self._asked = False
        previous = proposals.previous
        entries = proposals.entries
        known = 0
        while known < len(entries) and history.contains(entries[known].zxid):
            previous = entries[known].zxid
            known += 1
        new = entries[known:]
        chain = [previous, *(entry.zxid for entry in new)]
        if not all(may_follow(last, zxid) for last, zxid in pairwise(chain)):  # ZOOKEEPER-4925: no hole is taken over
            self._follow_again(now)
            return
        if new:
            self._extend(previous, new)
        self._report_due = True

    def _extend(self, previous: int, entries: list[Entry]) -> None:
        if previous != self._member.history.last_zxid:
            self._member.truncate(previous)
        self._member.append(entries)

    def _take_snapshot(self, part: SnapshotPart, now: float) -> None:
        if self._member.history.contains(part.zxid):
            return  # asked for twice: what is acknowledged above it must stay
        if part.offset == 0:
            self._snapshot.clear()
        if part.offset != len(self._snapshot) or part.total > SNAPSHOT_BYTES_MAX:
            self._follow_again(now)  # a slice is missing
            return
        self._snapshot += part.data
        if len(self._snapshot) < part.total:
            return
        try:
            snapshot = decode_snapshot(bytes(self._snapshot))
        except Malformed as error:
            raise Diverged(f"the leader's state cannot be read: {error}") from error
        self._snapshot.clear()
        self._member.install(snapshot)

    def _take_marks(self, marks: Marks, now: float) -> None:
        member = self._member
        if self._synchronised:
            member.commit(marks.committed)
            member.stable = max(member.stable, marks.stable)
            if self._floor is None and marks.committed >= self._marker:
                self._floor = marks.committed
        member.lease.confirm(marks.echo, max(marks.sent, marks.committed), member.applied)
        if marks.round:
            self._asked = False
            member.answered_at = now
            member.say(self._leader, self._report(member.durable_zxid, marks.round, now))
        if marks.sent > member.history.last_zxid:
            self._follow_again(now)  # something was lost on the way

    # What is said.

    def _follow(self, now: float) -> None:
        member = self._member
        self._followed_at = now
        counted = member.accepted_epoch == self.epoch and member.accepted_from == self._leader
        history = member.history
        ago, over = now - member.answered_at, dict(member.detector.over)
        epochs = list(history.epochs)
        me = member.me
        follow = Follow(self.epoch, counted, me.folder, history.cluster, epochs, ago, over, me.life, me.token)
        member.say_after_disk(self._leader, follow)

    def _follow_again(self, now: float) -> None:
        if not self._asked:  # once per heartbeat: what is on the way will show gaps, too
            self._asked = True
            self._follow(now)

    def _report(self, durable: int, number: int = 0, stamp: float = NO_STAMP) -> Report:
        member = self._member
        return Report(self.epoch, durable if self._synchronised else 0, member.applied, member.digest, number, stamp)

    def _status(self) -> Status:
        status = self._member.status(FOLLOWING)
        status.epoch, status.choice = self.epoch, self._leader
        return status
