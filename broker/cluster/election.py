"""LOOKING: who leads.

Decides the vote: the best position (epoch of the last marker, last zxid, name) among the members that are heard *and*
hear this one. Only the chosen one decides, once a majority has chosen it: at once when every member that is not proven
dead nor silent for too long has, else after a short wait for a better one. Safety does not depend on the outcome;
discovery checks again. Where a view decides and not a majority, `views` says who is chosen and who is enough. A blank
member has no vote: it waits for a leader, or for a founding, where every configured member is there and blank. It must
not know how histories are brought in line.
"""

from broker.cluster import bonds
from broker.cluster.entries import SLOTS
from broker.cluster.lineage import may_have_begun
from broker.cluster.member import Member, Yields
from broker.cluster.messages import LEADING, LOOKING, Message, Status
from broker.cluster.parting import is_majority, is_parted
from broker.cluster.partitions import Electorate
from broker.cluster.roles import Join, Lead, Move
from broker.cluster.views import ViewVote, continues_in

BETTER_VOTE_WAIT_S = 0.2
REPEATS_PER_TICKTIME = 10


class Looking:
    """One search for a leader."""

    state = LOOKING
    epoch = 0
    leader: str | None = None
    active = False

    def __init__(self, member: Member) -> None:
        self._member = member
        self._choice = ""
        self._said: tuple[str, list[str], tuple[list[str], list[str]]] | None = None
        self._agreed_since: float | None = None
        self._repeat_at = 0.0
        self._noted_at = 0.0

    def enter(self, now: float) -> Move | None:
        """Show where this member stands, and see whether a leader is known already."""
        self._views = ViewVote(self._member, now)
        return self._consider(now)

    def in_touch(self, now: float) -> bool:
        """Never: there is no leader."""
        return False

    def receive(self, sender: str, message: Message, now: float) -> Move | None:
        """Only Status counts here; `Zab` has noted it as the sender's ballot."""
        if not isinstance(message, Status):
            return None
        said = self._said
        move = self._consider(now)
        deaf = message.state == LOOKING and self._member.me.name not in message.heard
        if deaf and move is None and said is self._said:
            self._member.say(sender, self._status())
        return move

    def peer_changed(self, name: str, now: float) -> Move | None:
        """A new link learns where this member stands; a death may complete the vote."""
        if self._member.detector.peer(name).up:
            self._member.say(name, self._status())
        return self._consider(now)

    def tick(self, now: float) -> Move | None:
        """Say it again; drop ballots that were not repeated; end the wait for better votes."""
        if now >= self._repeat_at:
            self._said = None
        return self._consider(now)

    def deadline(self) -> float:
        """The next repetition, or the end of the wait."""
        at = min(self._repeat_at, self._views.deadline() if self._by_view else self._repeat_at)
        return at if self._agreed_since is None else min(at, self._agreed_since + BETTER_VOTE_WAIT_S)

    def persisted(self, now: float) -> Move | None:
        """Nothing here depends on the disk."""
        return None

    def applied(self, now: float) -> None:
        """Nobody is told."""

    def flush(self) -> None:
        """Everything is said at once."""

    def flush_after_disk(self) -> None:
        """Nothing waits for the disk."""

    def waiting_for(self) -> str:
        """Names the members that are missing."""
        member, electorate = self._member, self._electorate()
        if member.history.blank and member.only_epoch is not None:
            holders = ", ".join(self._who_may_hold(member.only_epoch))
            return f"gave its history up for the one with epoch {member.only_epoch}: waiting for {holders or 'it'}"
        if member.history.blank and not electorate.names:
            missing = [name for name in member.me.seeds if name != member.me.name and name not in member.ballots]
            if missing and not any(ballot.status.last_epoch for ballot in member.ballots.values()):
                return f"a founding needs every configured member: waiting for {', '.join(sorted(missing))}"
            return "blank: waiting for the members that hold the state"
        if self._by_view and member.history.members.get(member.me.name) == member.me.folder:
            return self._views.waiting_for(self._noted_at)
        if not electorate.includes(member.me.name, member.me.folder):
            return "no member with this data folder: waiting for the members to admit it"
        names = electorate.names - {member.me.name}
        missing = sorted(name for name in names if name not in member.ballots)
        forgetful = sorted(name for name in names if name in member.ballots and not member.ballots[name].status.folder)
        words = [f"no majority: waiting for {', '.join(missing)}"] if missing else []
        words += [f"{name} has no vote: its data folder is an older copy" for name in forgetful]
        return "; ".join(words) or "electing a leader"

    # The vote.

    def _consider(self, now: float) -> Move | None:
        member = self._member
        for name in [n for n, ballot in member.ballots.items() if now - ballot.at > member.me.net_ticktime]:
            del member.ballots[name]
        self._noted_at = now
        self._views.note(now)
        join = self._leader_to_join(now)
        if join:
            return join
        winner = self._history_to_yield_to()
        if winner:
            member.yields = Yields(*winner)
        choice = self._best(now)
        if choice != self._choice:
            self._choice, self._agreed_since = choice, None
        said = (choice, self._heard(), self._insists(now))
        if said != self._said:
            self._said = said
            self._repeat_at = now + member.me.net_ticktime / REPEATS_PER_TICKTIME
            member.tell(member.linked, self._status())
        if choice != member.me.name:
            return None
        return self._decide_view(now) if self._by_view else self._decide(now)

    def _history_to_yield_to(self) -> tuple[str, int] | None:
        """Leader and epoch of the history for which this member gives up its own, or its place in a third one that
        everybody has given up meanwhile."""
        member = self._member
        if member.parted and self._views.may_yield():
            parted = max(member.parted.values(), key=lambda parted: parted.epoch)
            return parted.leader, parted.epoch
        if member.only_epoch is None or not self._has_given_up or self._who_may_hold(member.only_epoch):
            return None
        established = [(name, ballot.status) for name, ballot in member.ballots.items() if ballot.status.established]
        return max(((name, status.epoch) for name, status in established), key=lambda each: each[1], default=None)

    @property
    def _has_given_up(self) -> bool:
        """Whether this member remembers nothing of what it has vouched for, by its own will: it has no say."""
        return self._member.history.blank and self._member.only_epoch is not None

    def _who_may_hold(self, epoch: int) -> list[str]:
        """Whose history has that epoch, or is not known."""
        member = self._member
        others = {*member.me.seeds, *member.ballots} - {member.me.name}
        known = {name: ballot.status.epochs for name, ballot in member.ballots.items()}
        return sorted(name for name in others if name not in known or may_have_begun(known[name], epoch))

    def _decide_view(self, now: float) -> Move | None:
        me, vote = self._member.me.name, self._views
        view = vote.decided({name: status for name, status in self._looking().items() if status.choice == me}, now)
        if view is None:
            self._agreed_since = None
            return None
        if self._agreed_since is None:
            self._agreed_since = now
        if vote.undecided and now < self._agreed_since + BETTER_VOTE_WAIT_S:
            return None
        return Lead(vote.next_epoch(), False, view)

    def _decide(self, now: float) -> Move | None:
        member = self._member
        agreeing = [name for name, status in self._looking().items() if status.choice == member.me.name]
        electorate = self._electorate()
        founding = self._founding_is_possible()
        if founding and set(agreeing) | {member.me.name} != set(member.me.seeds):
            self._agreed_since = None
            return None
        if not founding and not electorate.enough(member.folders(agreeing)):
            self._agreed_since = None
            return None
        if self._agreed_since is None:
            self._agreed_since = now
        undecided = electorate.names - {member.me.name, *agreeing}
        detector = member.detector
        waiting = not all(detector.peer(name).proven_dead or detector.silent(name, now) for name in undecided)
        if waiting and now < self._agreed_since + BETTER_VOTE_WAIT_S:
            return None
        accepted = [ballot.status.accepted_epoch for ballot in member.ballots.values()]
        epoch = max([member.accepted_epoch, *accepted]) + 1
        if founding and member.rule.wants_view(member.me.seeds):
            lives = {name: status.life for name, status in self._looking().items()}
            slot = sorted(member.me.seeds).index(member.me.name)
            view = {name: lives.get(name, member.me.life) for name in member.me.seeds}
            return Lead(epoch + (slot - epoch) % SLOTS, founding, view)
        return Lead(epoch, founding)

    def _best(self, now: float) -> str:
        member, electorate = self._member, self._electorate()
        looking = self._looking()
        if self._founding_is_possible():
            return max(member.me.seeds)
        if self._by_view:
            return self._views.best(now)
        if self._has_given_up:
            return ""
        folders = member.folders(looking)
        candidates = {
            name: (status.last_epoch, status.last_zxid, name)
            for name, status in looking.items()
            if member.me.name in status.heard and electorate.includes(name, folders.get(name, "")) and status.last_epoch
        }
        if member.history.blank:
            candidates = {name: position for name, position in candidates.items() if self._lists_me(looking[name])}
        elif electorate.includes(member.me.name, member.me.folder):
            candidates[member.me.name] = (*member.position, member.me.name)
        else:
            return ""
        return max(candidates, key=lambda name: candidates[name], default="")

    def _electorate(self) -> Electorate:
        member = self._member
        if not member.history.blank:
            return member.electorate
        # The founding did not reach this disk, but this folder belongs to it: the best history that says so counts.
        best = self._best_that_lists_me()
        return Electorate([best.members] if best else [])

    def _best_that_lists_me(self) -> Status | None:
        looking = [status for status in self._looking().values() if self._lists_me(status)]
        return max(looking, key=lambda status: (status.last_epoch, status.last_zxid), default=None)

    @property
    def _by_view(self) -> bool:
        """Whether all of a view decide here, and not a majority."""
        member = self._member
        if not member.history.blank:
            return member.forced or member.view is not None
        best = self._best_that_lists_me()
        return best is not None and best.view is not None

    def _lists_me(self, status: Status) -> bool:
        return status.members.get(self._member.me.name) == self._member.me.folder

    def _founding_is_possible(self) -> bool:
        member = self._member
        if not member.history.blank or member.only_epoch is not None:
            return False
        looking = self._looking()
        others = [name for name in member.me.seeds if name != member.me.name]
        return all(
            name in looking
            and not looking[name].last_epoch
            and member.me.name in looking[name].heard
            and sorted(looking[name].seeds) == sorted(member.me.seeds)
            for name in others
        )

    def _leader_to_join(self, now: float) -> Join | None:
        member = self._member
        leaders = [
            (ballot.status.epoch, name)
            for name, ballot in member.ballots.items()
            if ballot.status.state == LEADING and self._may_follow(name, ballot.status, now)
        ]
        if not leaders:
            return None
        epoch, name = max(leaders)
        return Join(name, epoch, member.ballots[name].status.view)

    def _may_follow(self, name: str, status: Status, now: float) -> bool:
        member = self._member
        if status.epoch < member.accepted_epoch:
            return False
        if member.history.cluster and status.cluster and member.history.cluster != status.cluster:
            return False
        if member.only_epoch is not None and not may_have_begun(status.epochs, member.only_epoch):
            return False
        if not is_majority(member, status):
            if status.established:
                return not is_parted(member, status) and continues_in(member, status)
            if status.view is not None:
                return self._views.consents(name, status, now)
            if not continues_in(member, status):
                return False
        if status.established:
            return True
        if member.history.blank:  # a founding (every seed is named), or one that did not reach this disk
            return self._lists_me(status) and not self._has_given_up
        return (status.last_epoch, status.last_zxid) >= member.position

    # What is said.

    def _looking(self) -> dict[str, Status]:
        ballots = self._member.ballots.items()
        return {name: ballot.status for name, ballot in ballots if ballot.status.state == LOOKING}

    def _heard(self) -> list[str]:
        return sorted(self._looking())

    def _insists(self, now: float) -> tuple[list[str], list[str]]:
        if not self._by_view:
            return [], []
        return sorted(bonds.needs(self._member, now)), sorted(self._views.asks(self._choice, now))

    def _status(self) -> Status:
        status = self._member.status(LOOKING)
        status.choice, status.heard = self._choice, self._heard()
        status.needs, status.asks = self._insists(self._noted_at)
        status.seeds = list(self._member.me.seeds)
        return status
