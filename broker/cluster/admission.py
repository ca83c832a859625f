"""Who becomes a member, and who is in the view: the next list, one change at a time.

Decides what the next roll says. Whoever holds everything that is committed may enter: a member that lost its memory,
with its new folder; into a view any member that follows. While a view lacks a member nobody joins. As soon as the rule
of the configuration wants it otherwise, and those in the view are a majority, the view ends, or begins. It must not
know how a roll is agreed upon.
"""

from collections.abc import Mapping

from broker.cluster.entries import Roll
from broker.cluster.member import Member
from broker.cluster.views import slots_for


def guests(member: Member, held: list[str]) -> dict[str, str]:
    """Name and folder of those among the ones who hold everything who have no vote with what memory they have."""
    folders = member.folders(held)
    return {name: folders[name] for name in held if folders.get(name, "") not in ("", member.history.members.get(name))}


def wanted(member: Member, held: list[str]) -> Roll | None:
    """The roll that is due now; None if nothing changes. `held`: who holds everything."""
    roll = member.history.roll
    members = roll.members
    for name, folder in guests(member, held).items():
        if name in members:
            return changed(member, {**members, name: folder}, held)
    if roll.view is None:
        return changed(member, members, held) if member.rule.wants_view(members) else None
    lives, folders = member.lives, member.folders(held)
    for name in held:
        if members.get(name) == folders.get(name, "") and roll.view.get(name) != lives[name]:
            return _roll(member, members, {**roll.view, name: lives[name]})
    if not member.rule.wants_view(members) and _most(roll.view, members):
        return _roll(member, members, None)
    return None


def changed(member: Member, members: Mapping[str, str], held: list[str]) -> Roll | None:
    """The roll with these members; None as long as the view lacks somebody and another one is to join."""
    roll, lives = member.history.roll, member.lives
    if roll.view is not None and members.keys() - roll.members.keys() and roll.members.keys() - roll.view.keys():
        return None
    there = {name: lives[name] for name in (member.me.name, *held)}
    view = there if roll.view is None else roll.view
    anew = {name for name in members if roll.members.get(name) != members[name]}
    view = {name: life for name, life in view.items() if name in members and name not in anew}
    view |= {name: life for name, life in there.items() if name in anew}
    if not member.rule.wants_view(members) and (roll.view is None or _most(view, members)):
        return _roll(member, members, None)
    return _roll(member, members, view)


def _most(view: Mapping[str, int], members: Mapping[str, str]) -> bool:
    return 2 * len(view.keys() & members.keys()) > len(members)


def _roll(member: Member, members: Mapping[str, str], view: dict[str, int] | None) -> Roll:
    roll = member.history.roll
    return Roll(roll.cluster, member.me.name, dict(members), view, slots_for(roll, members))
