"""Requests about the copies of one queue: who is in sync, who is master.

Decides which of them is still timely: each names the record's version, or is an operator's word. Source: DESIGN rules
S2 and S3. Members: `id` of the queue (promote and transfer also take `vhost` and `name`), `node`, `life`, `version`.
"""

from broker.cluster import schema
from broker.cluster.lives import Lives
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.placing import settle, store, wanted_queue
from broker.cluster.records import COMPLETENESS, RUNNING, Life, QueueRecord
from broker.cluster.refusal import Refused
from broker.cluster.succession import Situation, promotion_event, queue_event
from broker.cluster.succession import promote as promoted

MOST_COMPLETE = "most complete"


def enter_in_sync(draft: Draft) -> Answer:
    """The master says that this life of a mirror holds every living record. If the policy does not want the master
    where it is, the queue may now move."""
    record, life, lives = wanted_queue(draft), draft.life(), draft.lives()
    if life in record.in_sync:
        return {"version": record.version}
    _check_master(draft, record, lives)
    if life not in record.mirrors or lives.is_over(life):
        raise Refused("stale", f"life {life.number} of {life.node} is no mirror of queue '{record.name}' any more")
    order = (record.master, *record.mirrors)
    in_sync = tuple(one for one in order if one in record.in_sync or one == life)
    draft.tell(queue_event("sync", record, node=life.node, change="entered"))
    situation = Situation(lives, draft.zxid, draft.chance, "synchronised")
    return {"version": settle(draft, record, situation, record._replace(in_sync=in_sync)).version}


def leave_in_sync(draft: Draft) -> Answer:
    """The master goes on without a mirror that does not follow. It stays a mirror, and catches up."""
    record, life, lives = wanted_queue(draft), draft.life(), draft.lives()
    if life not in record.in_sync:
        return {"version": record.version}
    _check_master(draft, record, lives)
    if life == record.master:
        raise Refused("invalid", f"{life.node} is the master of queue '{record.name}'")
    in_sync = tuple(one for one in record.in_sync if one != life)
    event = queue_event("sync", record, node=life.node, change="left", why=draft.ask("why", str, ""))
    return {"version": store(draft, record, record._replace(in_sync=in_sync), [event]).version}


def note_use(draft: Draft) -> Answer:
    """A queue that goes with its last consumer has had one: a successor of its master has to know. Members: id."""
    record = wanted_queue(draft)
    return {"version": store(draft, record, record._replace(used=True), []).version}


def promote_most_complete(draft: Draft) -> Answer:
    """Second step of `always`: the living mirrors were asked how much they hold (`counts`: node -> living messages).
    The one with most becomes master, of equal ones the oldest. `missing`: node -> messages known to lack, if known."""
    record, lives = wanted_queue(draft), draft.lives()
    _check_version(draft, record)
    if record.reason != COMPLETENESS:
        raise Refused("stale", f"queue '{record.name}' does not wait for the most complete mirror")
    counts: dict[str, int] = draft.ask("counts", dict)
    if not all(isinstance(count, int) for count in counts.values()):
        raise Refused("invalid", f"promote_most_complete: {counts} are no counts")
    eligible = [life for life in record.mirrors if life.node in counts and not lives.is_over(life)]
    if not eligible:
        raise Refused("stale", f"no living mirror of queue '{record.name}' is among {sorted(counts)}")
    heir = max(eligible, key=lambda life: counts[life.node])
    missing: dict[str, int] = draft.ask("missing", dict, {})
    after = promoted(record, heir, (), draft.zxid, lossy=True)
    facts = {"held": counts[heir.node], "missing": missing.get(heir.node)}
    draft.tell(promotion_event(record, after, _end_of(draft, record.master) or MOST_COMPLETE, **facts))
    settle(draft, record, Situation(lives, draft.zxid, draft.chance, MOST_COMPLETE), after)
    return {"master": heir}


def promote(draft: Draft) -> Answer:
    """An operator names the node that shall serve a queue that waits; what it has not got is lost. `held`, `missing`:
    how many messages it holds, and knows to lack, if somebody has asked it. Who was away while the queue had a master
    does not know what it lacks: then nobody can say (`missing` of the answer is None)."""
    record, lives, node = wanted_queue(draft), draft.lives(), draft.ask("node", str)
    if record.state == RUNNING:
        raise Refused("running", f"queue '{record.name}' has a running master on {record.master.node}")
    heir = _living(record, lives, node)
    after = promoted(record, heir, (), draft.zxid, lossy=True)
    missing = draft.ask("missing", int, None) if heir in record.mirrors else None
    draft.tell(promotion_event(record, after, "operator", held=draft.ask("held", int, None), missing=missing))
    settle(draft, record, Situation(lives, draft.zxid, draft.chance, "operator"), after)
    return {"master": heir, "missing": missing}


def transfer(draft: Draft) -> Answer:
    """A running queue gets its master on another node, one that is in sync; the old one stays as youngest mirror."""
    record, lives, node = wanted_queue(draft), draft.lives(), draft.ask("node", str)
    heir = _living(record, lives, node)
    if heir == record.master:
        return {"master": heir}
    if lives.is_drained(node):
        raise Refused("drained", f"{node} is in maintenance: no master goes there")
    if record.state != RUNNING or heir not in record.in_sync:
        raise Refused("unsynchronised", f"{node} has no synchronised mirror of queue '{record.name}'")
    after = promoted(record, heir, record.in_sync, draft.zxid)
    after = after._replace(mirrors=(*after.mirrors, record.master))
    draft.tell(promotion_event(record, after, "transfer"))
    settle(draft, record, Situation(lives, draft.zxid, draft.chance, "transfer"), after)
    return {"master": heir}


def _end_of(draft: Draft, life: Life) -> str:
    """How this life ended; empty if nobody knows any more."""
    member = schema.member(draft.overlay, life.node)
    return member.why if member is not None and member.life == life.number else ""


def _living(record: QueueRecord, lives: Lives, node: str) -> Life:
    """The life of this node: the copy's own if there is one. Raises Refused if the node does not run."""
    life = lives.current(node)
    if life is None:
        raise Refused("not_found", f"{node} is not running")
    if record.exclusive is not None and life != record.master:
        raise Refused("invalid", f"queue '{record.name}' is exclusive and stays with its connection")
    return life


def _check_version(draft: Draft, record: QueueRecord) -> None:
    if (version := draft.ask("version", int)) != record.version:
        raise Refused("stale", f"the record of queue '{record.name}' has version {record.version}, not {version}")


def _check_master(draft: Draft, record: QueueRecord, lives: Lives) -> None:
    """Only the acting master speaks for the set, and only if it has seen the record as it is."""
    _check_version(draft, record)
    if record.state != RUNNING or lives.is_over(record.master):
        raise Refused("stale", f"queue '{record.name}' has no acting master")
