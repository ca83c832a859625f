"""Requests that declare, pause and delete queues.

Decides whether a declaration is new, the same or another one (RabbitMQ's rules of equivalence), where the first copies
go, and what a deletion takes along. Conditions on messages and consumers were checked by the queue's master, who alone
knows them. Source: RabbitMQ 3.10, `rabbit_amqqueue`; mirroring rules 4 and 5.
"""

from collections.abc import Mapping
from typing import Any

from broker.cluster import schema
from broker.cluster.arguments import QUEUE_ARGUMENTS, check_arguments, check_same, from_json
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.placing import store, wanted_queue
from broker.cluster.procedures.policies import Rules, Ruling
from broker.cluster.procedures.removal import remove_queue
from broker.cluster.procedures.vhosts import check_vhost
from broker.cluster.records import NOTHING, Life, Owner, QueueRecord
from broker.cluster.refusal import Refused
from broker.cluster.succession import initial_nodes, queue_event
from broker.routing.delayed import DELAY_QUEUES
from policies.keys import KEYS
from policies.placement import first_master
from policies.quorum import LEADER_LOCATORS, is_quorum, mirroring


def declare_queue(draft: Draft) -> Answer:
    """A queue of this name with these properties.

    Members: vhost, name, durable, auto_delete, exclusive, arguments (JSON form), node and life (where the client is),
    connection (its name; for exclusive ones), locator (the configuration's; default client-local).
    """
    vhost, name = draft.ask("vhost", str), draft.ask("name", str)
    room = check_vhost(draft, vhost).limits.get("max-queues", -1)
    present = schema.queue(draft.overlay, vhost, name)
    if present is not None and not present.delays:
        _check_equivalent(draft, present)
    else:
        if name.startswith(DELAY_QUEUES):
            raise Refused("reserved", f"queue name '{name}' contains reserved prefix 'amq.*'")
        if 0 <= room <= len(schema.queues(draft.overlay, vhost)):
            text = f"cannot declare queue '{name}': queue limit in vhost '{vhost}' ({room}) is reached"
            raise Refused("full", text)
        present = _new_queue(draft, vhost, name)
        draft.put(schema.queue_path(vhost, name), present)
    return {"created": present.id == draft.zxid, "id": present.id, "master": present.master, "state": present.state}


def delete_queue(draft: Draft) -> Answer:
    """The queue goes with its bindings. Members: vhost and name; `id`: only if it still is that one; `term`: and under
    the same master."""
    vhost, name = draft.ask("vhost", str), draft.ask("name", str)
    record = schema.queue(draft.overlay, vhost, name)
    if record is None or draft.ask("id", int, record.id) != record.id:
        return {"deleted": False}
    if draft.ask("term", int, record.term) != record.term:
        return {"deleted": False}
    remove_queue(draft.overlay, record)
    return {"deleted": True}


def pause_queue(draft: Draft) -> Answer:
    """Nothing of the queue is given out any more, or again: an operator's word, which holds over restarts and changes
    of master. Members: vhost and name, or id; paused."""
    record, paused = wanted_queue(draft), draft.ask("paused", bool)
    if record.delays:  # a part of its exchange: nobody else knows of it
        raise Refused("not_found", f"no queue '{record.name}' in vhost '{record.vhost}'")
    if record.paused != paused:
        news = queue_event("pause", record, change="paused" if paused else "resumed")
        store(draft, record, record._replace(paused=paused), [news])
    return {"changed": record.paused != paused}


def release_connection(draft: Draft) -> Answer:
    """A connection has ended: its exclusive queues go, all at once. Members: node, life, connection."""
    life = draft.life()
    owner = Owner(*life, draft.ask("connection", str))
    owned = schema.found(draft.overlay, QueueRecord, schema.owner_key(life.node))
    gone = [record for record in owned if record.exclusive == owner]
    for record in gone:
        remove_queue(draft.overlay, record)
    return {"deleted": len(gone)}


def _new_queue(draft: Draft, vhost: str, name: str) -> QueueRecord:
    lives, local = draft.lives(), draft.life()
    if lives.is_over(local):
        raise Refused("stale", f"life {local.number} of {local.node} is over")
    owner = Owner(*local, draft.ask("connection", str)) if draft.ask("exclusive", bool, False) else None
    arguments = draft.ask("arguments", dict, {})
    ruling = Rules(draft.overlay, vhost).of_queue(name, arguments)
    record = placed_queue(draft, vhost, name, local, ruling, arguments, owner)
    return record._replace(
        durable=draft.ask("durable", bool, False) and owner is None, auto_delete=draft.ask("auto_delete", bool, False)
    )


def placed_queue(
    draft: Draft,
    vhost: str,
    name: str,
    local: Life,
    ruling: Ruling,
    arguments: Mapping[str, Any] = NOTHING,
    owner: Owner | None = None,
) -> QueueRecord:
    """The record of a new queue, its copies where arguments, policy and configuration want them; `local`: who asks."""
    definition = ruling.definition or {}
    lives = draft.lives()
    reachable = lives.reachable | {local.node: local}
    nodes: tuple[str, tuple[str, ...]]
    if owner is not None:
        nodes = (local.node, ())
    else:
        locator, drained = _locator(draft, arguments, definition), lives.drained
        masters = dict.fromkeys([node for node in reachable if node not in drained] or reachable, 0)
        if locator == "min-masters":
            masters = {node: len(draft.overlay.find(schema.masters_key(node))) for node in masters}
        wanted = mirroring(from_json(arguments), definition)
        proposed = first_master(locator, wanted, local.node, masters, draft.chance)
        nodes = initial_nodes(wanted, proposed, sorted(reachable), drained, draft.chance)
    master, mirrors = nodes
    copies = tuple(reachable[node] for node in mirrors)
    return QueueRecord(
        id=draft.zxid,
        vhost=vhost,
        name=name,
        master=reachable[master],
        term=draft.zxid,
        mirrors=copies,
        in_sync=(reachable[master], *copies),
        candidates=mirrors,
        exclusive=owner,
        arguments=arguments,
        **ruling._asdict(),
    )


def _locator(draft: Draft, arguments: Mapping[str, Any], definition: Mapping[str, Any]) -> str | None:
    """Argument over policy over configuration; a word that means nothing is passed over (mirroring rule 5.2)."""
    if is_quorum(arguments):
        word = arguments.get("x-queue-leader-locator") or definition.get("queue-leader-locator")
        if word is not None:
            return LEADER_LOCATORS.get(str(word))
        arguments = definition = {}
    known = KEYS["queue-master-locator"]
    told = (arguments.get("x-queue-master-locator"), definition.get(known.name), draft.request.get("locator"))
    return next((str(word) for word in told if known.accepts(word)), None)


def _check_equivalent(draft: Draft, present: QueueRecord) -> None:
    resource = f"queue '{present.name}' in vhost '{present.vhost}'"
    local = draft.life()
    exclusive = draft.ask("exclusive", bool, False)
    _check_owner(present, local, draft.ask("connection", str, ""), resource, exclusive=exclusive)
    given = {
        "durable": draft.ask("durable", bool, False) and not exclusive,
        "auto_delete": draft.ask("auto_delete", bool, False),
    }
    check_same(resource, {"durable": present.durable, "auto_delete": present.auto_delete}, given)
    check_arguments(resource, QUEUE_ARGUMENTS, present.arguments, draft.ask("arguments", dict, {}))


def _check_owner(present: QueueRecord, local: Life, connection: str, resource: str, *, exclusive: bool) -> None:
    asking = Owner(*local, connection)
    if present.exclusive == (asking if exclusive else None):
        return
    raise Refused(
        "locked",
        f"cannot obtain exclusive access to locked {resource}. It could be originally declared on another connection "
        "or the exclusive property value does not match that of the original declaration.",
    )
