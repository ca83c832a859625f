"""The agreement machine: one member of a cluster that keeps one log (ZAB, with an epoch marker in the log).

Decides who leads, what is committed, and in which order disk, network and state are served. It must not know bytes on
disk, sockets, clocks, or what the transactions mean. Rules:

1. Nothing is acknowledged before it is on the disk; a leader counts itself only then.
2. A member follows no leader of an epoch below the one it has accepted, and says so only once that is on the disk.
3. A leader proposes once a quorum has its epoch's marker on disk, and with it the whole history below.
4. Only what is committed is applied, in order; a snapshot holds nothing else.
5. A member that lost its memory has no vote until a quorum that does not need it has written down its new folder.

Feed it (`receive`, `tick`, `peer_up`, `peer_down`, `propose`), and after each feed drain it: `take_urgent()` at once,
then `take_ready()` whenever the disk is free.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker.cluster import parting
from broker.cluster.detector import Verdict
from broker.cluster.election import Looking
from broker.cluster.entries import COUNTER_MAX, DurableState, Entry, LogOp, Snapshot
from broker.cluster.following import Following
from broker.cluster.leading import Leading
from broker.cluster.member import Ballot, Course, Identity, Member, Yields
from broker.cluster.messages import LOOKING, Alive, Follow, Message, Status, decode
from broker.cluster.partitions import MAJORITY, Parted, QuorumRule
from broker.cluster.roles import Join, Lead, Look, Move, Role

SLEEP_SHARE_OF_TICKTIME = 0.5
"""A machine that was not fed for longer than this share of net_ticktime suspects itself (DESIGN S4)."""
NAP_SHARE_OF_TICKTIME = 0.2
"""What it missed in a shorter pause is only not held against others; it is fed twice as often when all is well."""
DIGESTS_KEPT = 1024


class NotLeading(Exception):
    """Only an established leader that trusts itself proposes."""


@dataclass(slots=True)
class Ready:
    """What is to be done, in this order and no other:

    1. *persist*: carry out `log` in order, and make it durable if `sync`; then call `persisted()`;
    2. *send* `messages`;
    3. *apply*: restore `restore` if there is one, apply `committed` in order; then call `applied()`.

    If `snapshot_wanted`, call `snapshot()` after that. Only one bundle is out at a time.
    """

    log: list[LogOp]
    sync: bool
    messages: list[tuple[str, bytes]]
    restore: Snapshot | None
    committed: list[Entry]
    snapshot_wanted: bool

    def __bool__(self) -> bool:
        return bool(self.log or self.messages or self.restore or self.committed or self.snapshot_wanted)


class Zab:
    """One member. `now` is always seconds of the same clock."""

    def __init__(
        self,
        name: str,
        folder: str,
        seeds: Sequence[str],
        durable: DurableState,
        *,
        now: float,
        life: int = 1,
        net_ticktime: float = 5.0,
        counter_max: int = COUNTER_MAX,
        over: Mapping[str, int] | None = None,
        rule: QuorumRule = MAJORITY,
        forced: bool = False,
        only_epoch: int | None = None,
        token: str = "",
    ) -> None:
        """`seeds`: the members named by the configuration; `over`: by name the newest life that is proven over already.
        `forced`: an operator wants this member to go on with whom it finds. `only_epoch`: it follows only a leader
        whose history contains that epoch. `token`: of this life alone. Raises DamagedLog for a log that cannot be ours.

        The caller restores the snapshot in `durable`, if there is one, and calls `applied()` for it.
        """
        me, course = Identity(name, folder, life, tuple(seeds), net_ticktime, token), Course(rule, forced, only_epoch)
        self._member = Member(me, durable, now, over or {}, course)
        self._counter_max = counter_max
        self._seen_at = now
        self._role: Role = Looking(self._member)
        self.last_move = "started"
        self._change(self._role.enter(now), now)

    # Where it stands.

    @property
    def state(self) -> str:
        """looking, following or leading."""
        return self._role.state

    @property
    def leader(self) -> str | None:
        """The member that leads, as far as this one knows."""
        return self._role.leader

    @property
    def epoch(self) -> int:
        """The epoch led or followed; 0 while looking."""
        return self._role.epoch

    @property
    def leading(self) -> bool:
        """Established as leader."""
        return isinstance(self._role, Leading) and self._role.established

    @property
    def active(self) -> bool:
        """In an established epoch, with everything applied that was committed before this member joined it."""
        return self._role.active

    @property
    def linked(self) -> dict[str, int]:
        """The peers to which a link stands, with their lives."""
        return {name: peer.life for name, peer in self._member.detector.peers.items() if peer.up}

    @property
    def committed(self) -> int:
        """The last zxid known to be committed."""
        return self._member.committed

    @property
    def stable(self) -> int:
        """Applied by every member whose life goes on, as far as anybody knows (DESIGN S15)."""
        return self._member.stable

    @property
    def last_zxid(self) -> int:
        """The last zxid in the log, committed or not."""
        return self._member.history.last_zxid

    @property
    def cluster(self) -> str:
        """Id of the cluster; empty until the founding."""
        return self._member.history.cluster

    @property
    def members(self) -> dict[str, str]:
        """Name -> folder id, as the log has it."""
        return dict(self._member.history.members)

    @property
    def view(self) -> tuple[str, ...]:
        """Those of whom all have to agree, by name; empty where a majority decides."""
        return tuple(sorted(self._member.view or ()))

    @property
    def lacking(self) -> tuple[str, ...]:
        """The members that the view in force lacks: as long as there are any, nobody joins."""
        view = self._member.view
        return () if view is None else tuple(sorted(self._member.history.members.keys() - view.keys()))

    @property
    def parted(self) -> dict[str, Parted]:
        """By name who lives in another history, of which this one is neither a part nor a continuation."""
        return dict(self._member.parted)

    @property
    def guests(self) -> dict[str, str]:
        """Name -> folder id of those who follow this leader without a vote and hold everything committed."""
        return self._role.guests() if isinstance(self._role, Leading) else {}

    @property
    def log_length(self) -> int:
        """Entries above the last snapshot: when there are many, `compact` is due."""
        return len(self._member.history.entries)

    @property
    def lease_until(self) -> float:
        """Until when this member may act alone (DESIGN S3, S4); -inf without a lease."""
        return self._member.lease.until

    @property
    def lease_length(self) -> float:
        """How long a lease lasts, in seconds: so long nobody may be put in the place of one that fell silent."""
        return self._member.lease.length

    def has_quorum(self, now: float) -> bool:
        """Whether this member serves: in an established quorum, caught up, in touch, and awake."""
        return self._role.active and not self._member.lease.suspended and self._role.in_touch(now)

    def waiting_for(self) -> str:
        """In words, what keeps this member from serving; empty if nothing."""
        return self._role.waiting_for()

    def verdict(self, name: str, life: int, now: float) -> Verdict | None:
        """Whether that life is over, in the eyes of a leader; None while it may go on.

        Silence is a verdict only if the leader `may_judge`.
        """
        verdict, role = self._member.detector.verdict(name, life, now), self._role
        if verdict is None or verdict.proven:
            return verdict
        return verdict if isinstance(role, Leading) and role.may_judge(now) else None

    def met(self, name: str, life: int) -> bool:
        """Whether this member ever had a link to that life; else it only waits for it."""
        return self._member.detector.met(name, life)

    # Feed.

    def receive(self, sender: str, message: bytes, now: float) -> None:
        """A message arrived. Raises Malformed; Diverged when this member cannot go on without healing; Yields when it
        has just started and another history goes on already."""
        decoded = decode(message)
        self._wake(now)
        member = self._member
        member.detector.sound(sender, now)
        if isinstance(decoded, Status | Follow) and decoded.life:
            life = member.detector.peer(sender).life
            if decoded.life < life:
                return  # said by a life that is over
            if decoded.life > life:
                self.peer_up(sender, decoded.life, now)
            member.detector.peer(sender).token = decoded.token
            if member.is_older(sender, decoded.life, decoded.token):
                decoded.folder = ""  # as of one that lost its memory
        if isinstance(decoded, Status):
            member.detector.peer(sender).folder = decoded.folder
            member.ballots[sender] = Ballot(decoded, now)
            parting.note(member, sender, decoded, now)
        if self._is_sign_of_life(decoded):
            member.detector.heard(sender, now)
        self._change(self._role.receive(sender, decoded, now), now)
        self._yield()

    def tick(self, now: float) -> None:
        """Time has passed; wanted at `deadline()`. Raises Yields, see `receive`."""
        self._wake(now)
        parting.forget(self._member, now)
        self._change(self._role.tick(now), now)
        self._yield()

    def deadline(self) -> float:
        """When `tick` is wanted next."""
        return self._role.deadline()

    def peer_up(self, name: str, life: int, now: float) -> None:
        """The link to this life of a peer stands; a newer life proves that the older one is over."""
        self._wake(now)
        peer = self._member.detector.peer(name)
        if 0 < peer.life < life and not peer.proven_dead:
            self._peer_changed(name, peer.life, True, now)
        self._member.detector.link_up(name, life, now)
        self._change(self._role.peer_changed(name, now), now)

    def peer_down(self, name: str, life: int, proven: bool, now: float) -> None:
        """The link to this life broke; `proven`: the life is over (DESIGN S10)."""
        self._wake(now)
        if life >= self._member.detector.peer(name).life:
            self._peer_changed(name, life, proven, now)
        elif proven:
            self._member.detector.prove_over(name, life)

    def know_life(self, name: str, life: int, token: str = "") -> None:
        """A transaction registered this life: older ones of the same member have no vote, nor has another one of the
        same number, which an older copy of its folder counts (DESIGN S13)."""
        member = self._member
        if life >= member.known_lives.get(name, 0):
            member.known_lives[name], member.known_tokens[name] = life, token

    def know_end(self, name: str, life: int, zxid: int) -> None:
        """Whoever has applied everything up to `zxid` knows that this life was ended by a transaction."""
        if life > self._member.known_ends.get(name, (0, 0))[0]:
            self._member.known_ends[name] = life, zxid

    def yield_to(self, leader: str, epoch: int) -> None:
        """Give this history up for that of `leader`, which has led this epoch. Raises Yields, unless it is part of this
        history."""
        if all(each != epoch for each, _ in self._member.history.epochs):
            raise Yields(leader, epoch)

    def may_propose(self) -> bool:
        """Whether `propose` would succeed now."""
        return isinstance(self._role, Leading) and self._role.may_propose()

    def propose(self, payload: bytes) -> int:
        """Add a transaction to the log of all members; returns its zxid. Raises NotLeading."""
        return self._leader().propose(payload)

    def propose_members(self, members: dict[str, str]) -> int | None:
        """Change the list of members by one; None while another change is under way. Raises NotLeading."""
        return self._leader().propose_members(members)

    # Drain.

    def take_urgent(self) -> list[tuple[str, bytes]]:
        """Messages that need not wait for the disk: send them at once, after every feed."""
        self._role.flush()
        return self._member.take_urgent()

    def take_ready(self) -> Ready:
        """The next bundle for the disk and the state machine."""
        self._role.flush_after_disk()
        log, sync, messages = self._member.take_ops()
        restore, committed = self._member.take_committed()
        wanted, self._member.snapshot_wanted = self._member.snapshot_wanted, False
        return Ready(log, sync, messages, restore, committed, wanted)

    def persisted(self, now: float) -> None:
        """The `log` of the last bundle is durable."""
        self._wake(now)
        self._member.persisted()
        self._change(self._role.persisted(now), now)

    def applied(self, zxid: int, digest: int, now: float) -> None:
        """The state machine has applied everything up to `zxid`; `digest` is that of its state (ZAB, B9.11)."""
        self._wake(now)
        member = self._member
        member.applied, member.digest = zxid, digest
        member.lease.applied(zxid)
        member.digests[zxid] = digest
        if len(member.digests) > DIGESTS_KEPT:
            del member.digests[next(iter(member.digests))]
        self._role.applied(now)
        member.took_part = member.took_part or self._role.active

    def snapshot(self, state: bytes) -> None:
        """The state after the last applied zxid: the log below goes, and followers too far behind get it."""
        member = self._member
        if member.applied < member.history.base_zxid or member.history.blank:
            return
        self._role.flush()  # what is about to leave the log was perhaps not sent yet
        snapshot = member.history.snapshot_at(member.applied, state)
        member.compact(snapshot)
        if isinstance(self._role, Leading):
            self._role.send_snapshot(snapshot)

    def take_differing(self) -> dict[str, int]:
        """Followers whose state differs from ours at the given zxid: a fault in the state machine (B9.11)."""
        differing, self._member.differing = self._member.differing, {}
        return differing

    # Within.

    def _leader(self) -> Leading:
        role = self._role
        if isinstance(role, Leading) and role.may_propose():
            return role
        raise NotLeading(self.waiting_for() or f"{self.leader} leads")

    def _is_sign_of_life(self, message: Message) -> bool:
        """One that only ever says where it stands does not hear its leader; while there is none, one that is heard but
        does not hear is no better."""
        role = self._role
        match message:
            case Status(state=state, heard=heard) if state == LOOKING:
                return isinstance(role, Looking) and self._member.me.name in heard
            case Status():
                return False
            case Alive():
                return not isinstance(role, Leading)
        return True

    def _peer_changed(self, name: str, life: int, proven: bool, now: float) -> None:
        self._member.detector.link_down(name, life, proven)
        self._member.ballots.pop(name, None)
        self._change(self._role.peer_changed(name, now), now)

    def _wake(self, now: float) -> None:
        slept = now - self._seen_at
        self._seen_at = now
        if slept > SLEEP_SHARE_OF_TICKTIME * self._member.me.net_ticktime:
            self._member.lease.suspend(now)
            self._member.detector.watch_anew(now)
            if isinstance(self._role, Following | Leading):
                self._role.woke(now)
        elif slept > NAP_SHARE_OF_TICKTIME * self._member.me.net_ticktime:
            self._member.detector.overslept(slept, now)

    def _change(self, move: Move | None, now: float) -> None:
        while move is not None:
            match move:
                case Look(why):
                    self.last_move = why
                    self._role = Looking(self._member)
                case Join(leader, epoch, view):
                    self.last_move = f"follows {leader} in epoch {epoch}"
                    self._role = Following(self._member, leader, epoch, view)
                case Lead(epoch, founding, view):
                    self.last_move = f"leads epoch {epoch}"
                    self._role = Leading(self._member, epoch, founding, self._counter_max, view)
            move = self._role.enter(now)

    def _yield(self) -> None:
        self._member.took_part = self._member.took_part or self._role.active
        if self._member.yields is not None:
            raise self._member.yields
