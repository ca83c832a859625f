"""Who lives in another history, as far as this member hears.

Decides when two histories are two: an established leader is heard whose history neither has what may be committed here
nor ends within what is here. Only views part, and what an operator forced. It must not know what is done about it.
"""

from broker.cluster.member import Member
from broker.cluster.messages import LEADING, Status
from broker.cluster.partitions import Parted
from broker.cluster.views import continues_in


def note(member: Member, sender: str, status: Status, now: float) -> None:
    """Remember, or forget, that the sender and those with him live in another history."""
    if status.state == LEADING and status.established and is_parted(member, status):
        view = tuple(sorted(status.view or {}))
        parted = Parted(sender, status.epoch, view, now)
        member.parted.update(dict.fromkeys({sender, *view} - {member.me.name}, parted))
    else:
        member.parted.pop(sender, None)


def is_parted(member: Member, leader: Status) -> bool:
    """Whether this established leader has another history."""
    history = member.history
    if history.blank or not leader.cluster or leader.cluster != history.cluster or is_majority(member, leader):
        return False
    return not history.contains(leader.committed) and not continues_in(member, leader)


def is_majority(member: Member, leader: Status) -> bool:
    """Whether a majority decides on both sides: then there are no two histories."""
    return leader.view is None and member.view is None and not member.forced


def forget(member: Member, now: float) -> None:
    """Who was not heard for a while may have changed his mind."""
    ticktime = member.me.net_ticktime
    member.parted = {name: parted for name, parted in member.parted.items() if now - parted.seen_at <= ticktime}
