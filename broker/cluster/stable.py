"""What is stable: seen by everybody through whom clients may still look (DESIGN S15).

Decides whose word counts for that. A member counts while its life goes on; one that fell silent until its end, which a
transaction says, is applied by all the others: it may not know that it is cut off, and whoever takes its word has to
know better. Who is proven dead, or was never met, serves nobody. It must not know what is told to whom.
"""

from collections.abc import Mapping

from broker.cluster.member import Member


def seen_by_all(member: Member, applied: Mapping[str, int], now: float, *, may_judge: bool) -> int:
    """The last zxid that everybody has applied. `applied`: up to where the followers have, by name."""
    lowest, ended = member.applied, list[tuple[int, int]]()
    for name in member.history.members.keys() - {member.me.name}:
        if not (_may_serve(member, name, now, may_judge=may_judge) and member.is_voter(name)):
            continue
        end = member.end_of(name)
        if end is None:
            lowest = min(lowest, applied.get(name, 0))
        else:
            ended.append((end, applied.get(name, 0)))
    for end, mark in sorted(ended):
        if lowest < end:
            lowest = min(lowest, mark)
    return lowest


def _may_serve(member: Member, name: str, now: float, *, may_judge: bool) -> bool:
    peer = member.detector.peer(name)
    if not peer.life or peer.proven_dead:
        return False
    is_registered = peer.life == member.known_lives.get(name)
    return is_registered or not (may_judge and member.detector.silent(name, now))
