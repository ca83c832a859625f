"""Requests about who belongs to the cluster: members join, retire, are forgotten, get another name.

Decides when a member may go: not while it runs, unless it was retired before; and never so that those who are left are
no majority of themselves (DESIGN S13). Who has a vote follows from the members in the tree, one at a time, by the
leader. It must not know how votes are given, nor when a node starts.
"""

from broker.cluster import schema
from broker.cluster.operations import Event
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.placing import settle_all, store
from broker.cluster.records import Life, MemberRecord, QueueRecord
from broker.cluster.refusal import Refused
from broker.cluster.succession import FORGOTTEN, Situation


def add_member(draft: Draft) -> Answer:
    """One more member; it takes part once it registers a life. A retired one is taken back.

    Members: node, link (where it is dialled, if that is known). The answer has what a node has to know to join: the
    cluster's id and where its members are dialled; `life` is the newest one that it had here.
    """
    node, link = draft.ask("node", str), draft.ask("link", str, "")
    before = schema.member(draft.overlay, node)
    after = (before or MemberRecord(node))._replace(leaving=False)
    if link:
        after = after._replace(link=link)
    if after != before:
        draft.put(schema.member_path(node), after)
    if before is None:
        draft.tell(Event.of("member", node=node, change="joined"))
    cluster = schema.cluster(draft.overlay)
    return {
        "created": before is None,
        "life": after.life,
        "cluster": "" if cluster is None else cluster.id,
        "members": {name: record.link for name, record in schema.members(draft.overlay).items()},
    }


def retire_member(draft: Draft) -> Answer:
    """A member, running or not, loses its vote, before it is stopped and forgotten: then its end costs no majority,
    however few are left. Members: node."""
    record = draft.member()
    if record.leaving:
        return {"changed": False}
    staying = {
        name for name, other in schema.members(draft.overlay).items() if name != record.name and not other.leaving
    }
    if not staying:
        raise Refused("invalid", f"{record.name} is the only member of its cluster")
    there = draft.lives().reachable.keys() & staying
    if 2 * len(there) <= len(staying):
        missing = ", ".join(sorted(staying - there))
        raise Refused(
            "invalid",
            f"without {record.name} there would be no majority: of {', '.join(sorted(staying))} only "
            f"{', '.join(sorted(there)) or 'none'} would run (start {missing} first)",
        )
    draft.put(schema.member_path(record.name), record._replace(leaving=True))
    draft.tell(Event.of("member", node=record.name, change="retired"))
    return {"changed": True}


def forget_member(draft: Draft) -> Answer:
    """A member that does not run is one no more, and nothing waits for it.

    Members: node, gone (an operator's word that it does not run, though nobody has seen its end).
    """
    record = draft.member()
    is_there = record.name in draft.lives().reachable
    if is_there if draft.ask("gone", bool, False) else record.running:
        raise Refused("running", f"{record.name} must be stopped before it can be removed")
    draft.overlay.delete(schema.member_path(record.name))
    draft.tell(Event.of("member", node=record.name, change="forgotten"))
    situation = Situation(draft.lives(), draft.zxid, draft.chance, FORGOTTEN)
    settle_all(draft, [schema.copies_key(record.name)], situation)
    return {"deleted": True}


def rename_member(draft: Draft) -> Answer:
    """A member that does not run gets another name, and so does every copy of it. Members: node, name (the new one)."""
    record, name = draft.member(), draft.ask("name", str)
    if record.running:
        raise Refused("running", f"{record.name} must be stopped before it can be renamed")
    if schema.member(draft.overlay, name) is not None:
        raise Refused("exists", f"there is a member {name} already")
    draft.overlay.delete(schema.member_path(record.name))
    draft.put(schema.member_path(name), record._replace(name=name))
    draft.tell(Event.of("member", node=record.name, change="renamed", name=name))
    for queue in schema.found(draft.overlay, QueueRecord, schema.copies_key(record.name)):
        after = _renamed(queue, record.name, name)
        if after.master != queue.master:
            after = after._replace(term=draft.zxid, term_count=queue.term_count + 1)
        store(draft, queue, after)
    return {"renamed": True}


def set_cluster_name(draft: Draft) -> Answer:
    """What clients are told that the cluster is called. Members: name."""
    cluster = schema.cluster(draft.overlay)
    if cluster is None:
        raise Refused("not_found", "there is no cluster yet")
    draft.put(schema.CLUSTER, cluster._replace(title=draft.ask("name", str)))
    return {"changed": True}


def _renamed(record: QueueRecord, old: str, new: str) -> QueueRecord:
    def life(one: Life) -> Life:
        return one._replace(node=new) if one.node == old else one

    return record._replace(
        master=life(record.master),
        mirrors=tuple(map(life, record.mirrors)),
        in_sync=tuple(map(life, record.in_sync)),
        candidates=tuple(new if node == old else node for node in record.candidates),
        reason=record.reason.replace(f"waiting for {old}", f"waiting for {new}"),
    )
