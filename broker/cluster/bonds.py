"""Whom a member insists on when a new view is made: those who might go on without it, or have gone on already.

Decides that from its own log and promises and from what it heard. A member that *continues* (its present life is in
every view that it knows to be in force, and it did not sleep since they last answered) trusts its own eyes: it needs
those of the view whose life there goes on. Any other one trusts nobody's absence: it needs all of them, but for those
that lost their memory. It must not know who leads.
"""

from collections.abc import Collection, Mapping

from broker.cluster.lineage import holds
from broker.cluster.member import Member
from broker.cluster.messages import LOOKING, Status

ESTRANGED_TICKTIMES = 2.0
"""Two who are both heard but have not heard one another for so many net_ticktimes are cut off from each other."""


def continuing(member: Member) -> bool:
    """Whether this member has been in every view in force, all the time."""
    rolls = member.history.rolls_in_force(member.committed)
    views = [roll.view for roll in rolls if roll.view is not None]
    if member.accepted_view is not None and member.accepted_epoch > member.history.last_epoch:
        views.append(member.accepted_view)  # else the log says who has come into that view since
    name, life = member.me.name, member.me.life
    return not member.lease.suspended and all(view.get(name) == life for view in views)


def needs(member: Member, now: float) -> set[str]:
    """Whom it insists on if it leads the next view."""
    return _of_log(member, now) | _of_promise(member, now)


def asks(member: Member, leader: Status, estranged: Collection[str], now: float) -> set[str]:
    """Whom it insists on if this other one leads. What that one has in its own log it has considered itself."""
    if continuing(member):
        return needs(member, now) - set(estranged)
    found: set[str] = set()
    if not holds(leader.epochs, member.history.last_zxid):
        found |= _of_log(member, now)
    if leader.last_epoch < member.accepted_epoch:
        found |= _of_promise(member, now)
    return found


def _of_log(member: Member, now: float) -> set[str]:
    found: set[str] = set()
    for roll in [] if member.history.blank else member.history.rolls_in_force(member.committed):
        found |= _missed(member, roll.view or {}, roll.members, now)
    return found


def _of_promise(member: Member, now: float) -> set[str]:
    if member.accepted_view is None or member.accepted_epoch <= member.history.last_epoch:
        return set()
    return _missed(member, member.accepted_view, member.history.members, now)


def _missed(member: Member, view: Mapping[str, int], folders: Mapping[str, str], now: float) -> set[str]:
    others = {name: life for name, life in view.items() if name != member.me.name}
    if member.forced:
        return set()
    if continuing(member):
        return {name for name, life in others.items() if not _is_gone(member, name, life, now)}
    ballots = member.ballots
    return {
        name
        for name in others
        if name not in ballots or ballots[name].status.folder == folders.get(name, "") or (name not in folders)
    }


def _is_gone(member: Member, name: str, life: int, now: float) -> bool:
    verdict = member.detector.verdict(name, life, now)
    return verdict is not None and (verdict.proven or member.detector.mute(name, now))


class Estrangement:
    """Since when two others, of whom both are heard, do not hear one another."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._since: dict[tuple[str, str], float] = {}

    def note(self, looking: Mapping[str, Status], now: float) -> None:
        """What they say now."""
        both = {(one, other) for one in looking for other in looking if one < other}
        apart = {(a, b) for a, b in both if not (b in looking[a].heard and a in looking[b].heard)}
        there = self._member.ballots
        kept = {pair for pair in self._since if pair not in both and all(name in there for name in pair)}
        self._since = {pair: self._since.get(pair, now) for pair in apart | kept}

    def of(self, name: str, now: float) -> set[str]:
        """Who is cut off from this one."""
        long = ESTRANGED_TICKTIMES * self._member.me.net_ticktime
        pairs = [pair for pair, since in self._since.items() if name in pair and now - since >= long]
        return {each for pair in pairs for each in pair} - {name}


def looking(member: Member) -> dict[str, Status]:
    """What the members that are LOOKING say, by name."""
    return {name: ballot.status for name, ballot in member.ballots.items() if ballot.status.state == LOOKING}
