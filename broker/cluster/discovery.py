"""The beginning of an epoch: who has to accept it, who has, and what its marker says.

Decides when an epoch may begin: once a quorum has accepted it, or all of the view that it is to have, or, at a
founding, every configured member. It must not know what is sent to whom.
"""

from broker.cluster.entries import Entry, Roll, zxid_of
from broker.cluster.history import marker
from broker.cluster.member import Member
from broker.cluster.partitions import Electorate
from broker.cluster.views import slots_for


class Discovery:
    """`view`: by name the lives of which all have to agree; None where a majority decides. `begun`: the marker is in
    the log, and what the log says counts from now on."""

    def __init__(self, member: Member, epoch: int, view: dict[str, int] | None, *, founding: bool) -> None:
        self._member = member
        self._epoch = epoch
        self.view = view
        self.founding = founding
        self.begun = False
        self.accepted_by: set[str] = set()

    @property
    def electorate(self) -> Electorate:
        """Those who decide about this epoch."""
        member = self._member
        if self.view is None or self.begun:
            return member.electorate
        members = self.founders() if self.founding else member.history.members
        return Electorate.of([Roll("", "", members, self.view)], member.lives)

    def is_voter(self, name: str) -> bool:
        """Whether this member counts, with the memory it has."""
        folder = self._member.folders([name]).get(name)
        return folder is not None and self.electorate.includes(name, folder)

    def founders(self) -> dict[str, str]:
        """The first members, by name with their folders."""
        member = self._member
        folders = {name: member.detector.peer(name).folder for name in member.me.seeds}
        return folders | {member.me.name: member.me.folder}

    def missing(self) -> list[str]:
        """Who of the view has not accepted the epoch."""
        return sorted((self.view or {}).keys() - self.accepted_by)

    def is_lost(self) -> bool:
        """Whether so many are certainly dead that it cannot come about."""
        member = self._member
        possible = [name for name in self.electorate.names if not member.detector.peer(name).proven_dead]
        return self.founding or not self.electorate.enough(member.folders(possible))

    def begin(self) -> Entry | None:
        """The marker, once everybody who has to has accepted the epoch."""
        member, me = self._member, self._member.me.name
        if self.begun or me not in self.accepted_by:
            return None
        if self.founding:
            if self.accepted_by != set(member.me.seeds):
                return None
            founders = self.founders()
            roll = Roll(member.me.folder, me, founders, self.view, slots_for(None, founders))
        else:
            if not self.electorate.enough(member.folders(self.accepted_by)):
                return None
            members = member.history.members
            roll = Roll(member.history.cluster, me, members, self.view, slots_for(member.history.roll, members))
        self.begun = True
        return marker(zxid_of(self._epoch, 0), roll)
