"""LEADING: one history for everyone.

Decides when an epoch may begin (a quorum has accepted it and nobody in it knows more), what each follower lacks, what
is committed (on disk at a majority, with the marker of this epoch), when the lease is renewed, from when on the silent
are held dead, and when to step down: at once without a majority of live followers. It must not know what the entries
mean.
"""

from broker.cluster import admission
from broker.cluster.beats import HURRIED_ROUNDS_MAX, Beats
from broker.cluster.discovery import Discovery
from broker.cluster.entries import COUNTER_MAX, ROLL, TRANSACTION, Entry, Snapshot, counter_of, zxid_of
from broker.cluster.member import Member
from broker.cluster.messages import LEADING, LOOKING, NO_STAMP, Alive, Follow, Marks, Message, Report, Status
from broker.cluster.parting import is_parted
from broker.cluster.progress import Progress
from broker.cluster.roles import Look, Move
from broker.cluster.stable import seen_by_all

HEARTBEATS_PER_TICKTIME = 10


class Leading:
    """Leading one epoch, from the votes to the step-down."""

    state = LEADING

    def __init__(
        self,
        member: Member,
        epoch: int,
        founding: bool,
        counter_max: int = COUNTER_MAX,
        view: dict[str, int] | None = None,
    ) -> None:
        self._member = member
        self.epoch = epoch
        self.leader: str | None = member.me.name
        self.established = False
        self.leases_over_at = member.answered_at + member.lease.length
        """No lease of an earlier epoch lasts longer: each counts from a heartbeat that somebody answered who has since
        accepted this epoch."""
        self._discovery = Discovery(member, epoch, view, founding=founding)
        self._counter_max = counter_max
        self._marker = zxid_of(epoch, 0)
        self._waiting: dict[str, Follow] = {}
        self._followers: dict[str, Progress] = {}
        self._heard_at: dict[str, float] = {}
        self._beats = Beats()
        self._establish_until = 0.0
        self._beat_at = self._sight_at = 0.0
        self._marks_due = False

    @property
    def active(self) -> bool:
        """Established, and everything up to this epoch's marker is applied."""
        return self.established and self._member.applied >= self._marker

    def in_touch(self, now: float) -> bool:
        """Whether a majority followed lately."""
        ticktime = self._member.me.net_ticktime
        following = [name for name, at in self._heard_at.items() if now - at <= ticktime]
        return self._member.electorate.enough(self._member.folders(following))

    def enter(self, now: float) -> Move | None:
        """Propose the epoch to everyone (NEWEPOCH)."""
        member = self._member
        member.accept(self.epoch, member.me.name, self._discovery.view)
        self._establish_until = now + member.me.net_ticktime
        self._beat_at = self._sight_at = now + member.me.net_ticktime / HEARTBEATS_PER_TICKTIME
        member.tell(member.linked, self._status())
        return None

    # Feed.

    def receive(self, sender: str, message: Message, now: float) -> Move | None:
        """A follower's offer or report, or news of another leader."""
        match message:
            case Status():
                return self._hear_status(sender, message)
            case Follow(epoch=self.epoch):
                self._heard_at[sender] = now
                return self._hear_follow(sender, message, now)
            case Report(epoch=self.epoch):
                self._heard_at[sender] = now
                return self._hear_report(sender, message, now)
            case Follow() | Report() | Alive():
                return None
        self._member.say(sender, self._status())  # it leads, or thinks so
        return None

    def peer_changed(self, name: str, now: float) -> Move | None:
        """A follower's link broke or came again: it has to offer itself anew. Its death may cost the majority."""
        self._followers.pop(name, None)
        self._waiting.pop(name, None)
        peer = self._member.detector.peer(name)
        if peer.up:
            self._member.say(name, self._status())
        elif peer.proven_dead:
            self._heard_at.pop(name, None)
            if not self.in_touch(now) if self.established else self._discovery.is_lost():
                return Look(f"no {self._quorum} of living members")
        self._find_stable(now)
        return None

    def tick(self, now: float) -> Move | None:
        """Heartbeats; and the end of a leadership that nobody follows."""
        if not self.established and now > self._establish_until:
            return Look(f"epoch {self.epoch} found no {self._quorum} in time")
        if self.established and not self.in_touch(now):
            return Look(f"no {self._quorum} of living followers")
        if now >= self._beat_at:
            self._beat(now)
        over_at = self.leases_over_at if self.leases_over_at > now else float("inf")
        self._sight_at = min(self._member.detector.next_silence(now), over_at)
        self._find_stable(now)
        return None

    def may_judge(self, now: float) -> bool:
        """Whether silence is the fault of the silent: this leader is heard and answered by a majority, and no other
        leader, heard by others, can have given a lease that still lasts (DESIGN S4)."""
        return self.leases_over_at <= now < self._answered_until

    @property
    def _answered_until(self) -> float:
        return self._beats.confirmed_sent_at + self._member.lease.length

    @property
    def _quorum(self) -> str:
        return "majority" if self._discovery.view is None else "view"

    def deadline(self) -> float:
        """The next heartbeat, or the moment from which on somebody may be held dead."""
        return min(self._beat_at, self._sight_at)

    def persisted(self, now: float) -> Move | None:
        """This member's own disk counts like anybody's."""
        if self._member.durable_epoch >= self.epoch:
            self._discovery.accepted_by.add(self._member.me.name)
        self._begin_when_accepted()
        return self._find_committed(now)

    def applied(self, now: float) -> None:
        """The leader applies like anybody."""
        self._find_stable(now)

    def woke(self, now: float) -> None:
        """This member stood still: ask at once whether it still leads, and give everyone time to answer."""
        self._heard_at = dict.fromkeys(self._heard_at, now)
        self._beat(now)

    def waiting_for(self) -> str:
        """What is missing until the epoch is established and applied."""
        if self.active:
            return ""
        if self.established:
            return "applying the log"
        return f"epoch {self.epoch}: waiting for {', '.join(self._discovery.missing()) or 'a majority'}"

    # Drive.

    def may_propose(self) -> bool:
        """Whether `propose` is allowed now."""
        return self.established and not self._member.lease.suspended and not self.exhausted

    @property
    def exhausted(self) -> bool:
        """The counter of this epoch is used up: only a new epoch has room (ZOOKEEPER-1277)."""
        return counter_of(self._member.history.last_zxid) >= self._counter_max

    def propose(self, payload: bytes, kind: int = TRANSACTION) -> int:
        """Add an entry to everyone's log; returns its zxid."""
        zxid = self._member.history.last_zxid + 1
        self._member.append([Entry(zxid, kind, payload)])
        return zxid

    def propose_members(self, members: dict[str, str]) -> int | None:
        """Change the list of members by at most one name, if no change is under way; None if one is."""
        member = self._member
        current = member.history.members
        if len(member.history.rolls_in_force(member.committed)) > 1:
            return None
        changed = {name for name in current.keys() | members.keys() if current.get(name) != members.get(name)}
        assert len(changed) <= 1, f"one member at a time, not {sorted(changed)}"
        roll = admission.changed(member, members, self._held())
        return None if roll is None else self.propose(roll.encode(), ROLL)

    def send_snapshot(self, snapshot: Snapshot) -> None:
        """Give the state to the followers that wait for it."""
        for progress in self._followers.values():
            if progress.sent is None:
                progress.send_snapshot(self._member, self.epoch, snapshot)

    def flush(self) -> None:
        """New entries and marks to everyone who follows."""
        for progress in self._followers.values():
            progress.send_entries(self._member, self.epoch)
            if self._marks_due or progress.marks_due:
                progress.marks_due = False
                self._member.say(progress.name, self._marks(progress, 0))
        self._marks_due = False

    def flush_after_disk(self) -> None:
        """A leader's word never waits for its own disk; only its own vote does."""

    # Discovery and synchronisation.

    def _hear_status(self, sender: str, status: Status) -> Move | None:
        if status.accepted_epoch > self.epoch and (self._discovery.is_voter(sender) or self._is_wanted(sender, status)):
            return Look(f"{sender} has accepted epoch {status.accepted_epoch}")
        better = status.state == LEADING and status.epoch > self.epoch and (status.established or not self.established)
        if better and not is_parted(self._member, status):
            return Look(f"{sender} leads epoch {status.epoch}")
        if status.state == LOOKING:
            self._followers.pop(sender, None)
            self._heard_at.pop(sender, None)
            self._member.say(sender, self._status())
        return None

    def _is_wanted(self, sender: str, status: Status) -> bool:
        """Whether it could be in the view, but for what it has promised."""
        history = self._member.history
        lost = status.state == LOOKING and history.members.get(sender) == status.folder
        return lost and self._member.view is not None and self.established and history.contains(status.committed)

    def _hear_follow(self, sender: str, follow: Follow, now: float) -> Move | None:
        member = self._member
        member.detector.peer(sender).folder = follow.folder
        member.detector.hear_of_deaths(follow.over)
        if follow.cluster and member.history.cluster and follow.cluster != member.history.cluster:
            return None
        discovery = self._discovery
        voter = discovery.is_voter(sender) or discovery.founding
        # Who accepts a view has seen what of his own history he gives up.
        longer = discovery.view is None and bool(follow.epochs) and follow.epochs[-1] > member.position
        if voter and not self.established and longer:
            return Look(f"{sender} has a longer history")
        if voter and not discovery.begun and not follow.counted:
            return Look(f"{sender} had accepted epoch {self.epoch} before it started anew")
        if voter:
            discovery.accepted_by.add(sender)
            if not discovery.begun:
                self.leases_over_at = max(self.leases_over_at, now - follow.answered_ago + member.lease.length)
        self._waiting[sender] = follow
        if discovery.begun:
            self._attach_waiting()
        else:
            self._begin_when_accepted()
        return None

    def _begin_when_accepted(self) -> None:
        entry = self._discovery.begin()
        if entry is not None:
            self._member.append([entry])
            self._attach_waiting()

    def _attach_waiting(self) -> None:
        member = self._member
        for name, follow in self._waiting.items():
            progress = Progress(name)
            common = member.history.common_point(follow.epochs)
            if common >= member.history.base_zxid:
                progress.sent = common
            else:
                member.snapshot_wanted = True
            self._followers[name] = progress
            if self.established:
                self._beats.hurry = HURRIED_ROUNDS_MAX
        self._waiting.clear()

    # Broadcast.

    def _hear_report(self, sender: str, report: Report, now: float) -> Move | None:
        progress = self._followers.get(sender)
        if progress is None:
            return None
        progress.take(report)
        self._check_digest(progress)
        if report.stamp > NO_STAMP:
            progress.beats.append((report.stamp, self._beats.round))
        self._find_confirmed(now)
        move = self._find_committed(now)
        self._find_stable(now)
        return move

    def _marks_of(self, kind: str) -> dict[str, int]:
        return {name: getattr(progress, kind) for name, progress in self._followers.items()}

    def _find_committed(self, now: float) -> Move | None:
        member = self._member
        if not self._discovery.begun:
            return None
        marks = self._marks_of("durable") | {member.me.name: member.durable_zxid}
        while True:
            agreed = member.electorate.agreed(marks, member.folders(marks))
            if agreed < self._marker or not member.commit(agreed):
                break
            self._marks_due = True
        if member.committed >= self._marker and not self.established:
            self.established = True
            member.forced = False
            self._beat(now)
        if not member.electorate.includes(member.me.name, member.me.folder):
            self.flush()  # the others must hear that it is committed: else they would insist on this one
            return Look("no member any more")
        if self.exhausted and member.committed == member.history.last_zxid:
            return Look("the counter of the epoch is used up")
        self._admit()
        return None

    def guests(self) -> dict[str, str]:
        """Name and folder of those who follow without a vote and hold everything that is committed."""
        return admission.guests(self._member, self._held())

    def _held(self) -> list[str]:
        return [name for name, progress in self._followers.items() if progress.durable >= self._member.committed]

    def _admit(self) -> None:
        """Who holds the state again gets the vote (DESIGN S13), or a place in the view."""
        member = self._member
        if not self.may_propose() or len(member.history.rolls_in_force(member.committed)) > 1:
            return
        roll = admission.wanted(member, self._held())
        if roll is not None:
            self.propose(roll.encode(), ROLL)

    def _find_stable(self, now: float) -> None:
        member = self._member
        if not self.established:
            return
        stable = seen_by_all(member, self._marks_of("applied"), now, may_judge=self.may_judge(now))
        if stable > member.stable:
            member.stable = stable
            self._marks_due = True

    def _check_digest(self, progress: Progress) -> None:
        expected = self._member.digests.get(progress.applied)
        if expected is not None and expected != progress.digest:
            self._member.differing[progress.name] = progress.applied

    # Signs of life.

    def _beat(self, now: float) -> None:
        member = self._member
        self._beat_at = now + member.me.net_ticktime / HEARTBEATS_PER_TICKTIME
        if member.view is None:
            member.answered_at = now
        number = self._beats.begin(now)
        for progress in self._followers.values():
            progress.send_entries(member, self.epoch)
            member.say(progress.name, self._marks(progress, number))
        status = self._status()
        member.tell([name for name in member.linked if name not in self._followers], status)
        self._find_confirmed(now, alone=True)

    def _find_confirmed(self, now: float, *, alone: bool = False) -> None:
        """`alone`: nobody else has answered this round yet, so that it says nothing of the followers' leases."""
        member, beats = self._member, self._beats
        marks = self._marks_of("round") | {member.me.name: beats.round}
        unanswered = now >= self._answered_until
        if beats.confirm(member.electorate.agreed(marks, member.folders(marks))):
            if unanswered:
                self._sight_at = now  # the silent may be judged from now on
            if member.view is not None:
                member.answered_at = now  # no lease without all of them, and so none without this leader
            member.lease.confirm(beats.confirmed_sent_at, member.history.last_zxid, member.applied)
            for progress in self._followers.values():
                progress.find_echo(beats.confirmed)
            if beats.hurry and not alone:
                # A follower without a lease may have to be the only one that confirms: three rounds give it one.
                lacking = any(not progress.has_lease for progress in self._followers.values())
                beats.hurry = beats.hurry - 1 if lacking else 0
                self._beat(now)

    def _marks(self, progress: Progress, number: int) -> Marks:
        member = self._member
        return Marks(self.epoch, member.committed, member.stable, progress.sent or 0, number, progress.echo)

    def _status(self) -> Status:
        member = self._member
        status = member.status(LEADING)
        status.epoch, status.established, status.choice = self.epoch, self.established, member.me.name
        discovery = self._discovery
        if not discovery.begun:
            status.view = discovery.view
            status.members = discovery.founders() if discovery.founding else status.members
        return status
