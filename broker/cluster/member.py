"""What a member is in every role: its history, its promises, its peers, and the outboxes that its shell drains.

Decides nothing about roles; it keeps the orders to the disk, the messages and the applied state in step. It must not
know when an election is due or who is synchronised.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from broker.cluster.detector import Detector
from broker.cluster.entries import (
    Accept,
    Append,
    Commit,
    Compact,
    DurableState,
    Entry,
    Install,
    LogOp,
    Snapshot,
    zxid_of,
)
from broker.cluster.entries import Truncate as TruncateOp
from broker.cluster.history import History
from broker.cluster.lease import Lease
from broker.cluster.lineage import told
from broker.cluster.messages import LOOKING, Message, Status, encode
from broker.cluster.partitions import MAJORITY, Electorate, Parted, QuorumRule


class Diverged(Exception):
    """The leader's history lacks what is committed here: two histories, to be healed, never to be cut."""


class Yields(Exception):
    """This member's history loses against that of `leader` in `epoch`: its life ends, the next one begins in theirs."""

    def __init__(self, leader: str, epoch: int) -> None:
        super().__init__(f"yields to {leader}, which leads epoch {epoch} of another history")
        self.leader, self.epoch = leader, epoch


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this member is. `seeds`: the names in its configuration, all of which must be there for a founding. `token`:
    drawn for this life alone. An older copy of the folder counts the same lives once more."""

    name: str
    folder: str
    life: int
    seeds: tuple[str, ...]
    net_ticktime: float
    token: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """How a member goes on when not all are there: the rule of its configuration, whether an operator wants it to go on
    with whom it finds, and the epoch that a history must contain for this member to follow it."""

    rule: QuorumRule = MAJORITY
    forced: bool = False
    only_epoch: int | None = None


@dataclass(slots=True)
class Ballot:
    """The latest Status of a peer and when it came."""

    status: Status
    at: float


class Member:
    """Durable facts, marks and outboxes of one member."""

    def __init__(
        self, identity: Identity, durable: DurableState, now: float, over: Mapping[str, int], course: Course
    ) -> None:
        """`over`: see `Detector`."""
        durable.check()
        self.me = identity
        self.rule, self.forced, self.only_epoch = course.rule, course.forced, course.only_epoch
        self.history = History(durable)
        self.forced = self.forced and not self.history.blank
        self.accepted_epoch = durable.accepted_epoch
        self.accepted_from = ""
        self.accepted_view = durable.accepted_view
        """The view that was promised with the accepted epoch: others of it may go on with it without this member."""
        self.committed = max(min(durable.committed, self.history.last_zxid), self.history.base_zxid)
        self.durable_zxid = self.history.last_zxid
        self.delivered = self.history.base_zxid
        self.applied = self.delivered
        self.digest = 0
        self.stable = 0
        self.detector = Detector(identity.net_ticktime, now, over)
        self.lease = Lease(identity.net_ticktime)
        self.answered_at = now
        """When this member last answered a heartbeat, or sent one: a lease of anybody may count from then. What it did
        before it started it does not know."""
        self.ballots: dict[str, Ballot] = {}
        self.parted: dict[str, Parted] = {}
        self.took_part = False
        """In this life, in an epoch that was established."""
        self.yields: Yields | None = None
        self.known_lives: dict[str, int] = {}
        self.known_tokens: dict[str, str] = {}
        self.known_ends: dict[str, tuple[int, int]] = {}
        """By name the newest life that was ended by a transaction, and the zxid up to which that is applied."""
        self.snapshot_wanted = False
        self.digests: dict[int, int] = {}
        self.differing: dict[str, int] = {}
        self._surely_committed = self.committed
        self._ops: list[LogOp] = []
        self._sync = False
        self._in_flight = self.durable_zxid
        self.durable_epoch = self._in_flight_epoch = self.accepted_epoch
        self._restore: Snapshot | None = None
        self._urgent: list[tuple[str, bytes]] = []
        self._messages: list[tuple[str, bytes]] = []

    # What the log says about votes.

    @property
    def electorate(self) -> Electorate:
        """Those who decide."""
        rolls = self.history.rolls_in_force(self.committed)
        return Electorate.of(rolls, self.lives if any(roll.view is not None for roll in rolls) else None)

    @property
    def lives(self) -> dict[str, int]:
        """By name the newest life of everybody met, and of this member."""
        return {name: peer.life for name, peer in self.detector.peers.items()} | {self.me.name: self.me.life}

    @property
    def view(self) -> dict[str, int] | None:
        """The latest view in force; None where a majority decides."""
        rolls = [] if self.history.blank else self.history.rolls_in_force(self.committed)
        return next((roll.view for roll in reversed(rolls) if roll.view is not None), None)

    @property
    def position(self) -> tuple[int, int]:
        """What elections compare before the name: epoch of the last marker, last zxid."""
        return self.history.last_epoch, self.history.last_zxid

    def folders(self, names: Iterable[str]) -> dict[str, str]:
        """Name -> folder of those among `names` that are not an older life than the one committed."""
        present = {}
        for name in names:
            peer = self.detector.peer(name)
            if not self.is_older(name, peer.life, peer.token):
                present[name] = peer.folder
        present[self.me.name] = self.me.folder
        return present

    def is_older(self, name: str, life: int, token: str) -> bool:
        """Whether who says so lives in an older copy of a folder: another life is known to have had its number, or a
        higher one. It has forgotten what it vouched for since."""
        known = self.known_lives.get(name, 0)
        return life < known or (life == known and self.known_tokens.get(name, "") not in ("", token))

    def is_voter(self, name: str) -> bool:
        """Whether this member counts, with the memory it has."""
        folder = self.folders([name]).get(name)
        return folder is not None and self.electorate.includes(name, folder)

    def end_of(self, name: str) -> int | None:
        """Up to which zxid one has to have applied to know that the life of this peer is over; None if it goes on."""
        life, zxid = self.known_ends.get(name, (0, 0))
        return zxid if life and life == self.detector.peer(name).life else None

    # The log.

    def accept(self, epoch: int, leader: str, view: dict[str, int] | None = None) -> None:
        """Promise never to follow a leader of a lower epoch; `view`: the one that it has or is to have."""
        if epoch > self.accepted_epoch:
            self.accepted_epoch, self.accepted_from, self.accepted_view = epoch, leader, view
            self._ops.append(Accept(epoch, view))
            self._sync = True

    def append(self, entries: list[Entry]) -> None:
        """Add entries to the log; they count as written once `persisted` was called for them."""
        for entry in entries:
            self.history.append(entry)
        self._ops.append(Append(entries))
        self._sync = True

    def truncate(self, zxid: int) -> None:
        """Cut off what the leader does not have; raises Diverged if that was committed."""
        if zxid < self.committed:
            raise Diverged(f"committed up to {self.committed:#x} here, common with the leader only {zxid:#x}")
        self.history.truncate(zxid)
        self.durable_zxid = min(self.durable_zxid, zxid)
        self._in_flight = min(self._in_flight, zxid)
        self._ops.append(TruncateOp(zxid))
        self._sync = True

    def install(self, snapshot: Snapshot) -> None:
        """Take over the leader's state in place of the log; raises Diverged if more is committed here."""
        if snapshot.zxid < self.committed:
            raise Diverged(f"committed up to {self.committed:#x} here, the leader's state ends at {snapshot.zxid:#x}")
        self.history.install(snapshot)
        self.durable_zxid = min(self.durable_zxid, snapshot.zxid)
        self._in_flight = min(self._in_flight, snapshot.zxid)
        self.committed = self.delivered = snapshot.zxid
        self._restore = snapshot
        self._ops.append(Install(snapshot))
        self._sync = True

    def compact(self, snapshot: Snapshot) -> None:
        """The state above has been written down: the log below may go."""
        self.history.compact(snapshot)
        self._ops.append(Compact(snapshot))
        self._sync = True

    def commit(self, zxid: int) -> bool:
        """Everything up to `zxid` (as far as it is here) is committed; whether that is news."""
        zxid = min(zxid, self.history.last_zxid)
        if zxid <= self.committed:
            return False
        self.committed = zxid
        self._ops.append(Commit(zxid))
        if self.history.roll.view is not None and zxid >= zxid_of(self.history.last_epoch, 0) > self._surely_committed:
            # That a view came about has to be known after a crash: what it decided must not be given up.
            self._surely_committed = zxid
            self._sync = True
        return True

    def persisted(self) -> None:
        """The orders taken last are on the disk."""
        self.durable_zxid = self._in_flight
        self.durable_epoch = self._in_flight_epoch

    # Outboxes.

    def say(self, name: str, message: Message) -> None:
        """Send without waiting for the disk."""
        self._urgent.append((name, encode(message)))

    def say_after_disk(self, name: str, message: Message) -> None:
        """Send once everything ordered so far is on the disk."""
        self._messages.append((name, encode(message)))

    def tell(self, names: Sequence[str], message: Message) -> None:
        """Say the same to several."""
        data = encode(message)
        self._urgent += [(name, data) for name in names]

    @property
    def linked(self) -> list[str]:
        """Peers to which a link stands."""
        return [name for name, peer in self.detector.peers.items() if peer.up]

    def status(self, state: str = LOOKING) -> Status:
        """Where this member stands; roles fill in what is theirs."""
        return Status(
            state=state,
            folder=self.me.folder,
            accepted_epoch=self.accepted_epoch,
            last_epoch=self.history.last_epoch,
            last_zxid=self.history.last_zxid,
            cluster=self.history.cluster,
            members=dict(self.history.members),
            life=self.me.life,
            token=self.me.token,
            committed=self.committed,
            epochs=told(self.history),
            view=self.view,
        )

    def take_urgent(self) -> list[tuple[str, bytes]]:
        """Drain what need not wait for the disk."""
        urgent, self._urgent = self._urgent, []
        return urgent

    def take_ops(self) -> tuple[list[LogOp], bool, list[tuple[str, bytes]]]:
        """Drain the orders to the disk, whether they need a sync, and what may be said after it."""
        taken = self._ops, self._sync, self._messages
        self._ops, self._sync, self._messages = [], False, []
        self._in_flight, self._in_flight_epoch = self.history.last_zxid, self.accepted_epoch
        return taken

    def take_committed(self) -> tuple[Snapshot | None, list[Entry]]:
        """Drain what the state machine above has to restore and to apply."""
        restore, self._restore = self._restore, None
        entries = self.history.after(self.delivered, self.committed)
        self.delivered = max(self.delivered, self.committed)
        return restore, entries
