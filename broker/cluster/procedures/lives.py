"""Requests about the cluster itself: its founding, and the lives of its members.

Decides that the end of a life and all that follows from it is one transaction: who leaves which in-sync set, who is
promoted, what vanishes, who takes the places (DESIGN rules S10, S12, S13). It must not know how a death was found out,
only what the leader says of it: `why` is "failure", "shutdown" or "disk" (its own word) if the leader had known that
very life, and "absent" if it only waited for it in vain; the promotion keys count for the others.
"""

from broker.cluster import schema
from broker.cluster.operations import Event
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.placing import settle_all
from broker.cluster.procedures.policies import write_policy
from broker.cluster.procedures.removal import remove_exchange
from broker.cluster.procedures.users import write_permission, write_user
from broker.cluster.procedures.vhosts import write_vhost
from broker.cluster.records import ClusterRecord, ExchangeRecord, Life, MemberRecord, PermissionRecord, VhostRecord
from broker.cluster.refusal import Refused
from broker.cluster.succession import DISK, FAILURE, RESTART, SHUTDOWN, Situation

ABSENT = "absent"
DEFAULT_VHOST, DEFAULT_DESCRIPTION = "/", "Default virtual host"


def sync(draft: Draft) -> Answer:
    """Nothing changes: whoever hears the answer has applied all that was agreed upon before."""
    return {}


def found(draft: Draft) -> Answer:
    """The first transaction of a cluster; refused if there is one.

    Members: name, id, members (names), links (name -> where it is dialled), vhosts (names), users (as put_user, and
    permissions: vhost -> [configure, write, read]), policies and operator_policies (as put_policy).
    """
    record = ClusterRecord(draft.ask("name", str), draft.ask("id", str))
    if (present := schema.cluster(draft.overlay)) is not None:
        if present.id == record.id:
            return {"id": record.id}
        raise Refused("exists", f"the cluster {present.name} has been founded")
    draft.put(schema.CLUSTER, record)
    for folder in (schema.MEMBERS, schema.USERS, schema.VHOSTS):
        draft.overlay.create(folder, b"")
    links: dict[str, str] = draft.ask("links", dict, {})
    for node in draft.ask("members", list):
        draft.put(schema.member_path(node), MemberRecord(node, link=links.get(node, "")))
    for vhost in draft.ask("vhosts", list, ["/"]):
        write_vhost(draft, VhostRecord(vhost, DEFAULT_DESCRIPTION if vhost == DEFAULT_VHOST else ""))
    for user in draft.ask("users", list, []):
        write_user(draft, user)
        for vhost, rights in user.get("permissions", {}).items():
            write_permission(draft, PermissionRecord(user["name"], vhost, *rights))
    for policy in draft.ask("policies", list, []):
        write_policy(draft, policy, operator=False)
    for policy in draft.ask("operator_policies", list, []):
        write_policy(draft, policy, operator=True)
    draft.tell(Event.of("cluster", change="founded", name=record.name))
    return {"id": record.id}


def register_life(draft: Draft) -> Answer:
    """A node begins a new life, and ends its last one if nobody has yet.

    Members: node, life (higher than any before; else refused `old_life`: the folder is an old copy, and the node may
    only come back as a blank one), folder (its id), blank (it holds nothing), memory (`data: memory`), damaged (ids of
    queues whose copy recovery could not repair), token (names the process; a repeat with the same is answered again),
    link (where the node is dialled).
    """
    record, life = draft.member(), draft.life()
    folder, token = draft.ask("folder", str), draft.ask("token", str, "")
    if record.running and (record.life, record.token) == (life.number, token):
        return {"life": life.number, "began": False}
    if life.number <= record.life:
        raise Refused("old_life", f"life {life.number} of {life.node} is not newer than the {record.life} known here")
    memory = draft.ask("memory", bool, False)
    is_fresh = draft.ask("blank", bool, False) or memory or folder != record.folder
    now = MemberRecord(
        name=life.node,
        life=life.number,
        running=True,
        folder=folder,
        memory=memory,
        memory_from=life.number if is_fresh else record.memory_from,
        token=token,
        drained=record.drained,
        link=draft.ask("link", str, "") or record.link,
        leaving=record.leaving,
    )
    ended = [Life(record.name, record.life)] if record.running else []
    if not draft.lives().reachable.keys() - {life.node}:
        _end_transient_exchanges(draft)
    draft.put(schema.member_path(life.node), now)
    draft.tell(Event.of("life", node=life.node, life=life.number, change="began"))
    situation = Situation(
        draft.lives(met=life, ended=ended),
        draft.zxid,
        draft.chance,
        RESTART,
        distrusted=life.node,
        damaged=frozenset(draft.ask("damaged", list, [])),
    )
    settle_all(draft, _keys_of(life.node), situation)
    return {"life": life.number, "began": True}


def end_life(draft: Draft) -> Answer:
    """A life is over. Members: node, life, why ("failure", "shutdown", "disk", "absent")."""
    record, life, why = draft.member(), draft.life(), draft.ask("why", str)
    if why not in (FAILURE, SHUTDOWN, DISK, ABSENT):
        raise Refused("invalid", f"a life ends by failure, shutdown, disk or absence, not by {why}")
    if not record.running or record.life != life.number:
        return {"ended": False}
    draft.put(schema.member_path(life.node), record._replace(running=False, why=why))
    draft.tell(Event.of("life", node=life.node, life=life.number, change="ended", why=why))
    situation = Situation(draft.lives(ended=[life]), draft.zxid, draft.chance, why)
    settle_all(draft, [schema.copies_key(life.node)], situation)
    return {"ended": True}


def reconcile(draft: Draft) -> Answer:
    """Look again at what may have been left undecided: the queues that wait, and, with `node`, those that have copies
    there or could use it (the leader asks so whenever a running life comes into sight); with `all` every queue."""
    situation = Situation(draft.lives(), draft.zxid, draft.chance, "contact")
    keys = [schema.WAITING_QUEUES]
    if draft.ask("all", bool, False):
        keys += [schema.copies_key(node) for node in schema.members(draft.overlay)]
    elif node := draft.ask("node", str, ""):
        keys += _keys_of(node)
    settle_all(draft, keys, situation)
    return {}


def _keys_of(node: str) -> list[str]:
    return [schema.copies_key(node), schema.wants_key(node), schema.WANTS_ANY]


def _end_transient_exchanges(draft: Draft) -> None:
    """Nobody is left who knew them: what is not durable ends with the last life (rule S12)."""
    for record in schema.found(draft.overlay, ExchangeRecord, schema.TRANSIENT_EXCHANGES):
        if schema.exchange(draft.overlay, record.vhost, record.name) is not None:
            remove_exchange(draft.overlay, record)
