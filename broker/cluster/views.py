"""The vote for a view: who leads it, and who is in it.

Decides it while LOOKING, where all of a view have to agree and not a majority. Each member says whom it insists on
(`bonds`); a view is made of members that chose the same leader, hear one another, and of whom nobody insists on one
that is not in it. Nobody chooses a leader whose history lacks what may be committed in his own (`lineage`). Safety lies
with each member, which asks itself once more before it promises. It must not know how histories are brought in line.
"""

from collections.abc import Mapping

from broker.cluster import bonds
from broker.cluster.entries import SLOTS, Roll
from broker.cluster.lineage import continues, may_have_begun
from broker.cluster.member import Member
from broker.cluster.messages import Status
from broker.cluster.partitions import Electorate

LINKS_WAIT_S = 1.0
"""One that starts goes on without a member only after so long: links take their time."""
FORCED_LEAP = 1 << 16
"""An epoch that was forced is so much later: the others may have their own ones meanwhile."""


class ViewVote:
    """What one search for a leader comes to, again and again."""

    def __init__(self, member: Member, now: float) -> None:
        self._member = member
        self._estrangement = bonds.Estrangement(member)
        self._began_at = self._noted_at = now
        self.undecided = False
        """Whether somebody who is perhaps alive is not in the view that was decided last."""

    def note(self, now: float) -> None:
        """Time has passed, or somebody has said something."""
        self._noted_at = now
        self._estrangement.note(bonds.looking(self._member), now)

    def best(self, now: float) -> str:
        """Whom this member wants to lead; empty if nobody can."""
        member = self._member
        if member.forced:
            return member.me.name
        looking = bonds.looking(member)
        heard = {name: status for name, status in looking.items() if member.me.name in status.heard}
        candidates = {name: status for name, status in heard.items() if self._may_lead(name, status, looking)}
        ranks = {
            name: (status.last_epoch, status.last_zxid, len(status.heard), name) for name, status in candidates.items()
        }
        me = member.me.name
        if self._may_lead_itself() and bonds.needs(member, now) <= heard.keys():
            ranks[me] = (*member.position, len(looking), me)
        return max(ranks, key=lambda name: ranks[name], default="")

    def decided(self, choosing: dict[str, Status], now: float) -> dict[str, int] | None:
        """The view that this member may lead, of itself and some of those who chose it; None while there is none."""
        member = self._member
        mine = bonds.needs(member, now)
        mates = {} if member.forced else choosing
        view = {name: status.life for name, status in mates.items() if self._has_memory(name, status)}
        while excluded := [name for name in view if not set(choosing[name].asks) <= {*view, member.me.name}]:
            for name in excluded:
                del view[name]
        view[member.me.name] = member.me.life
        if not mine <= view.keys() or not self._suffices(view):
            return None
        missing = member.history.members.keys() - view.keys()
        detector = member.detector
        if missing and now < self._patient_until():
            return None
        self.undecided = any(not detector.peer(name).proven_dead and not detector.silent(name, now) for name in missing)
        return view

    def deadline(self) -> float:
        """When waiting for links ends; inf if it has."""
        at = self._patient_until()
        return at if at > self._noted_at else float("inf")

    def may_yield(self) -> bool:
        """Whether this member, which has just started, has looked long enough for somebody of its own history."""
        new = not self._member.took_part and not self._member.forced
        return new and self._noted_at >= self._began_at + LINKS_WAIT_S

    def _patient_until(self) -> float:
        member = self._member
        if bonds.continuing(member) and not member.forced:
            return self._began_at
        # Of two histories that start at once the one that is further ahead goes first: the other one will yield to it.
        rivals = [status for status in bonds.looking(member).values() if self._is_rival(status)]
        ahead = any((status.last_epoch, status.last_zxid) > member.position for status in rivals)
        return self._began_at + (2 if ahead else 1) * LINKS_WAIT_S

    def _is_rival(self, status: Status) -> bool:
        member = self._member
        same = self._is_same_cluster(status) and status.last_epoch
        return bool(same) and not member.history.contains(status.committed) and not continues_in(member, status)

    def consents(self, sender: str, leader: Status, now: float) -> bool:
        """Whether this member may promise the epoch that is to begin with the view of that leader."""
        member = self._member
        view = leader.view or {}
        if view.get(member.me.name) != member.me.life or member.forced:
            return False
        if not continues_in(member, leader):
            return False
        return bonds.asks(member, leader, self._estrangement.of(sender, now), now) <= view.keys()

    def asks(self, choice: str, now: float) -> set[str]:
        """Whom this member insists on under that choice."""
        member = self._member
        if choice in member.ballots and choice != member.me.name:
            status = member.ballots[choice].status
            return bonds.asks(member, status, self._estrangement.of(choice, now), now)
        return bonds.needs(member, now)

    def waiting_for(self, now: float) -> str:
        """Names those without whom there is no view."""
        member = self._member
        looking = bonds.looking(member)
        needed = sorted(bonds.needs(member, now) - looking.keys())
        if needed:
            return f"last seen together with {', '.join(needed)}: waiting for {', '.join(needed)}"
        heard = {*looking, member.me.name}
        if not member.rule.allows(heard, member.history.members):
            listed = ", ".join(sorted(member.rule.nodes))
            return f"pause_if_all_down: waiting for one of {listed}"
        return "electing a leader"

    def next_epoch(self) -> int:
        """Above all that are known, and one that no other member can ever use."""
        member = self._member
        least = max([member.accepted_epoch, *(each.status.accepted_epoch for each in member.ballots.values())]) + 1
        if member.forced:
            least += FORCED_LEAP
        return least + (slot_of(member.history.roll, member.me.name) - least) % SLOTS

    def _may_lead_itself(self) -> bool:
        member = self._member
        return not member.history.blank and member.history.members.get(member.me.name) == member.me.folder

    def _may_lead(self, name: str, status: Status, looking: dict[str, Status]) -> bool:
        member = self._member
        if not status.last_epoch or not self._is_same_cluster(status) or status.members.get(name) != status.folder:
            return False
        if member.only_epoch is not None and not may_have_begun(status.epochs, member.only_epoch):
            return False
        if member.me.folder not in (status.members.get(member.me.name), member.history.members.get(member.me.name)):
            return False  # for both this member is one that lost its memory
        present = {*status.heard, *looking, name, member.me.name}
        return set(status.needs) <= present and continues_in(member, status)

    def _is_same_cluster(self, status: Status) -> bool:
        mine = self._member.history.cluster
        return not mine or not status.cluster or mine == status.cluster

    def _has_memory(self, name: str, status: Status) -> bool:
        return self._member.history.members.get(name) == status.folder

    def _suffices(self, view: dict[str, int]) -> bool:
        """A majority, where a list of members is in force beside the view; one of the nodes that an operator listed."""
        member = self._member
        lists = [roll for roll in member.history.rolls_in_force(member.committed) if roll.view is None]
        if lists and not member.forced and not Electorate.of(lists).enough(member.folders(view)):
            return False
        return member.forced or member.rule.allows(view, member.history.members)


def continues_in(member: Member, other: Status) -> bool:
    """Whether the other's history has all that may be committed in this member's."""
    heard = {name: ballot.status for name, ballot in member.ballots.items()}
    return continues(member.history, member.committed, other, heard, member.me.name)


def slot_of(roll: Roll, name: str) -> int:
    """The number that is this member's alone. Logs from before there were slots count by name."""
    return roll.slots.get(roll.members[name], sorted(roll.members).index(name))


def slots_for(roll: Roll | None, members: Mapping[str, str]) -> dict[str, int]:
    """The slots with these members: what was given out stays, a new folder gets the lowest number that nobody had."""
    slots = {roll.members[name]: slot_of(roll, name) for name in roll.members} | roll.slots if roll else {}
    for _, folder in sorted(members.items()):
        if folder in slots:
            continue
        free = set(range(SLOTS)) - set(slots.values())
        if not free:  # there are not so many at once: those who left make room
            slots = {each: slot for each, slot in slots.items() if each in members.values()}
            free = set(range(SLOTS)) - set(slots.values())
        slots[folder] = min(free)
    return slots
