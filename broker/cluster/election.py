"""LOOKING: who leads.

Decides the vote: the best position (epoch of the last marker, last zxid, name) among the members that are heard *and*
hear this one. Only the chosen one decides, once a majority has chosen it: at once when every member that is not proven
dead nor silent for too long has, else after a short wait for a better one. Safety does not depend on the outcome;
discovery checks again. A blank member has no vote: it waits for a leader, or for a founding, where every configured
member is there and blank. It must not know how histories are brought in line.
"""

from broker.cluster.member import Member
from broker.cluster.messages import LEADING, LOOKING, Message, Status
from broker.cluster.partitions import Electorate
from broker.cluster.roles import Join, Lead, Move

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
        self._said: tuple[str, list[str]] | None = None
        self._agreed_since: float | None = None
        self._repeat_at = 0.0

    def enter(self, now: float) -> Move | None:
        """Show where this member stands, and see whether a leader is known already."""
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
        if self._agreed_since is None:
            return self._repeat_at
        return min(self._repeat_at, self._agreed_since + BETTER_VOTE_WAIT_S)

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
        if member.history.blank and not electorate.names:
            missing = [name for name in member.me.seeds if name != member.me.name and name not in member.ballots]
            if missing and not any(ballot.status.last_epoch for ballot in member.ballots.values()):
                return f"a founding needs every configured member: waiting for {', '.join(sorted(missing))}"
            return "blank: waiting for the members that hold the state"
        if not electorate.includes(member.me.name, member.me.folder):
            return "no member with this data folder: waiting for the members to admit it"
        names = electorate.names - {member.me.name}
        missing = sorted(name for name in names if name not in member.ballots)
        return f"no majority: waiting for {', '.join(missing)}" if missing else "electing a leader"

    # The vote.

    def _consider(self, now: float) -> Move | None:
        member = self._member
        for name in [n for n, ballot in member.ballots.items() if now - ballot.at > member.me.net_ticktime]:
            del member.ballots[name]
        join = self._leader_to_join()
        if join:
            return join
        choice = self._best()
        if choice != self._choice:
            self._choice, self._agreed_since = choice, None
        said = (choice, self._heard())
        if said != self._said:
            self._said = said
            self._repeat_at = now + member.me.net_ticktime / REPEATS_PER_TICKTIME
            member.tell(member.linked, self._status())
        return self._decide(now) if choice == member.me.name else None

    def _decide(self, now: float) -> Move | None:
        member = self._member
        agreeing = [name for name, status in self._looking().items() if status.choice == member.me.name]
        electorate = self._electorate()
        founding = self._founding_is_possible()
        if founding and set(agreeing) | {member.me.name} != set(member.me.seeds):
            self._agreed_since = None
            return None
        if not founding and not electorate.majority(member.folders(agreeing)):
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
        return Lead(max([member.accepted_epoch, *accepted]) + 1, founding)

    def _best(self) -> str:
        member, electorate = self._member, self._electorate()
        looking = self._looking()
        if self._founding_is_possible():
            return max(member.me.seeds)
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
        looking = [status for status in self._looking().values() if self._lists_me(status)]
        best = max(looking, key=lambda status: (status.last_epoch, status.last_zxid), default=None)
        return Electorate([best.members] if best else [])

    def _lists_me(self, status: Status) -> bool:
        return status.members.get(self._member.me.name) == self._member.me.folder

    def _founding_is_possible(self) -> bool:
        member = self._member
        if not member.history.blank:
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

    def _leader_to_join(self) -> Join | None:
        member = self._member
        leaders = [
            (ballot.status.epoch, name)
            for name, ballot in member.ballots.items()
            if ballot.status.state == LEADING and self._may_follow(ballot.status)
        ]
        if not leaders:
            return None
        epoch, name = max(leaders)
        return Join(name, epoch)

    def _may_follow(self, status: Status) -> bool:
        member = self._member
        if status.epoch < member.accepted_epoch:
            return False
        if member.history.cluster and status.cluster and member.history.cluster != status.cluster:
            return False
        if status.established:
            return True
        if member.history.blank:  # a founding (every seed is named), or one that did not reach this disk
            return self._lists_me(status)
        return (status.last_epoch, status.last_zxid) >= member.position

    # What is said.

    def _looking(self) -> dict[str, Status]:
        ballots = self._member.ballots.items()
        return {name: ballot.status for name, ballot in ballots if ballot.status.state == LOOKING}

    def _heard(self) -> list[str]:
        return sorted(self._looking())

    def _status(self) -> Status:
        status = self._member.status(LOOKING)
        status.choice, status.heard = self._choice, self._heard()
        status.seeds = list(self._member.me.seeds)
        return status
