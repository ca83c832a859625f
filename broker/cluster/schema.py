"""Where things stand in the tree, under which keys they are found, and how they are read.

Decides paths and index keys. It must not know who may change what (`procedures`). Names from outside become path
components by percent-encoding, so any name that AMQP allows is one. The readers work alike on a node's tree and on the
leader's overlay.

    /cluster                              ClusterRecord
    /members/NODE                         MemberRecord
    /global_parameters/NAME               GlobalParameterRecord, from the first one on
    /rebalance                            the life that is spreading the masters anew
    /users/USER                           UserRecord
    /vhosts/VHOST                         VhostRecord
    /vhosts/VHOST/queues/QUEUE            QueueRecord
    /vhosts/VHOST/exchanges/EXCHANGE      ExchangeRecord
    /vhosts/VHOST/bindings/HASH           BindingRecord
    /vhosts/VHOST/policies/POLICY         a policy with RabbitMQ's field names
    /vhosts/VHOST/operator_policies/…     likewise
    /vhosts/VHOST/permissions/USER        PermissionRecord
    /vhosts/VHOST/topic_permissions/…     TopicPermissionRecord, by user and exchange
"""

import json
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from broker.cluster.records import (
    CACHE_RECORDS_MAX,
    RUNNING,
    BindingRecord,
    ClusterRecord,
    ExchangeRecord,
    GlobalParameterRecord,
    Life,
    MemberRecord,
    PermissionRecord,
    QueueRecord,
    TopicPermissionRecord,
    UserRecord,
    VhostRecord,
    decode,
)
from policies.models import Policy
from policies.placement import node_name

CLUSTER = "/cluster"
MEMBERS = "/members"
REBALANCE = "/rebalance"
GLOBAL_PARAMETERS = "/global_parameters"
CLUSTER_NAME, CLUSTER_ID = "cluster_name", "internal_cluster_id"
"""Global parameters that stand in the record of the cluster."""
USERS = "/users"
VHOSTS = "/vhosts"
VHOST_FOLDERS = (
    "bindings",
    "exchanges",
    "operator_policies",
    "permissions",
    "policies",
    "queues",
    "topic_permissions",
)

WAITING_QUEUES = "waiting"
"""The key of all queues that have no acting master."""
TRANSIENT_EXCHANGES = "transient"
WANTS_ANY = "wants:*"

R = TypeVar("R")


class Znodes(Protocol):
    """A tree, or the leader's overlay over one."""

    def data(self, path: str) -> bytes | None: ...
    def children(self, path: str) -> list[str]: ...
    def find(self, key: str) -> list[str]: ...


@lru_cache(maxsize=32_768)
def component(name: str) -> str:
    """A name as one component of a path; different names give different ones. The empty name is `%`."""
    if name in ("", ".", ".."):
        return name.replace(".", "%2E") or "%"
    return quote(name, safe=" !\"#$&'()*+,:;<=>?@[]^`{|}\\", errors="surrogateescape")


def member_path(node: str) -> str:
    return f"{MEMBERS}/{component(node)}"


def global_parameter_path(name: str) -> str:
    return f"{GLOBAL_PARAMETERS}/{component(name)}"


def user_path(name: str) -> str:
    return f"{USERS}/{component(name)}"


def vhost_path(vhost: str, folder: str = "", name: str | None = None) -> str:
    """The virtual host itself, one of its folders, or what is called `name` in that folder."""
    path = f"{VHOSTS}/{component(vhost)}"
    if not folder:
        return path
    return f"{path}/{folder}" if name is None else f"{path}/{folder}/{component(name)}"


def queue_path(vhost: str, name: str) -> str:
    return vhost_path(vhost, "queues", name)


def exchange_path(vhost: str, name: str) -> str:
    return vhost_path(vhost, "exchanges", name)


def permission_path(vhost: str, user: str) -> str:
    return vhost_path(vhost, "permissions", user)


def topic_permission_path(vhost: str, user: str, exchange: str) -> str:
    # The separator is none of the characters that `component` leaves as they are.
    folder = vhost_path(vhost, "topic_permissions")
    return f"{folder}/{component(user)}%%{component(exchange)}"


def policy_path(vhost: str, name: str, *, operator: bool = False) -> str:
    return vhost_path(vhost, "operator_policies" if operator else "policies", name)


def binding_path(binding: BindingRecord) -> str:
    """Bindings have no name: what they say is who they are."""
    said = (binding.source, binding.destination_kind, binding.destination, binding.key, dict(binding.arguments))
    digest = blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()
    return vhost_path(binding.vhost, "bindings", digest)


def id_key(queue_id: int) -> str:
    """Finds the queue of this id."""
    return f"id:{queue_id}"


def copies_key(node: str) -> str:
    """Finds the queues that have, had or await a copy on this node."""
    return f"copies:{node}"


def masters_key(node: str) -> str:
    """Finds the queues whose master is on this node."""
    return f"masters:{node}"


def wants_key(node: str) -> str:
    """Finds the queues whose policy names this node; `WANTS_ANY` those that could use any node."""
    return f"wants:{node}"


def owner_key(node: str) -> str:
    """Finds the exclusive queues of connections to this node."""
    return f"owner:{node}"


def bindings_from(vhost: str, exchange: str) -> str:
    """Finds the bindings whose source is this exchange."""
    return f"from:{component(vhost)}/{component(exchange)}"


def bindings_to(vhost: str, kind: str, name: str) -> str:
    """Finds the bindings whose destination is this queue or exchange (`kind` "queue" or "exchange")."""
    return f"to:{kind}:{component(vhost)}/{component(name)}"


def permissions_key(user: str) -> str:
    """Finds the permissions and topic permissions of a user in all virtual hosts."""
    return f"permissions:{component(user)}"


def index(path: str, data: bytes) -> tuple[str, ...]:
    """The index of the tree: under which of the keys above a znode is found."""
    parts = path.split("/")
    if len(parts) != 5 or parts[1] != "vhosts":
        return ()
    keys = _KEYS.get(parts[3])
    return keys(data) if keys is not None else ()


@lru_cache(maxsize=CACHE_RECORDS_MAX)
def _queue_keys(data: bytes) -> tuple[str, ...]:
    record = decode(QueueRecord, data)
    nodes = {record.master.node, *record.candidates}
    nodes.update(life.node for life in record.mirrors)
    nodes.update(life.node for life in record.in_sync)
    keys = [id_key(record.id), masters_key(record.master.node)]
    keys += [copies_key(node) for node in sorted(nodes)]
    if record.state != RUNNING:
        keys.append(WAITING_QUEUES)
    if record.exclusive is not None:
        keys.append(owner_key(record.exclusive.node))
    else:
        keys += _wanted(record)
    return tuple(keys)


def _wanted(record: QueueRecord) -> list[str]:
    definition = record.mirroring
    match definition.get("ha-mode"):
        case "all":
            return [WANTS_ANY]
        case "exactly" if len(record.mirrors) + 1 < definition["ha-params"]:
            return [WANTS_ANY]
        case "nodes":
            return [wants_key(node) for node in dict.fromkeys(map(node_name, definition["ha-params"]))]
    return []


def _exchange_keys(data: bytes) -> tuple[str, ...]:
    return () if decode(ExchangeRecord, data).durable else (TRANSIENT_EXCHANGES,)


def _binding_keys(data: bytes) -> tuple[str, ...]:
    record = decode(BindingRecord, data)
    return (
        bindings_from(record.vhost, record.source),
        bindings_to(record.vhost, record.destination_kind, record.destination),
    )


def _permission_keys(data: bytes) -> tuple[str, ...]:
    return (permissions_key(decode(PermissionRecord, data).user),)


def _topic_permission_keys(data: bytes) -> tuple[str, ...]:
    return (permissions_key(decode(TopicPermissionRecord, data).user),)


_KEYS: dict[str, Callable[[bytes], tuple[str, ...]]] = {
    "queues": _queue_keys,
    "exchanges": _exchange_keys,
    "bindings": _binding_keys,
    "permissions": _permission_keys,
    "topic_permissions": _topic_permission_keys,
}


def read(znodes: Znodes, kind: type[R], path: str) -> R | None:
    """The record at this path, None if there is none."""
    data = znodes.data(path)
    return None if data is None else decode(kind, data)


def found(znodes: Znodes, kind: type[R], key: str) -> list[R]:
    """The records that are found under a key, by path."""
    return [record for path in znodes.find(key) if (record := read(znodes, kind, path)) is not None]


def listed(znodes: Znodes, kind: type[R], folder: str) -> list[R]:
    """All records of a folder, by name."""
    paths = (f"{folder}/{name}" for name in znodes.children(folder))
    return [record for path in paths if (record := read(znodes, kind, path)) is not None]


def cluster(znodes: Znodes) -> ClusterRecord | None:
    """The cluster, None before its founding."""
    return read(znodes, ClusterRecord, CLUSTER)


def global_parameters(znodes: Znodes) -> list[GlobalParameterRecord]:
    """All of them by name, with what the cluster says of itself."""
    found = {record.name: record for record in listed(znodes, GlobalParameterRecord, GLOBAL_PARAMETERS)}
    if (record := cluster(znodes)) is not None:
        if record.title:
            found[CLUSTER_NAME] = GlobalParameterRecord(CLUSTER_NAME, record.title)
        found[CLUSTER_ID] = GlobalParameterRecord(CLUSTER_ID, f"rabbitmq-cluster-id-{record.id}")
    return [found[name] for name in sorted(found)]


def members(znodes: Znodes) -> dict[str, MemberRecord]:
    """All members by name."""
    return {record.name: record for record in listed(znodes, MemberRecord, MEMBERS)}


def member(znodes: Znodes, node: str) -> MemberRecord | None:
    return read(znodes, MemberRecord, member_path(node))


def is_current(znodes: Znodes, life: Life) -> bool:
    """Whether this life of the node goes on, as far as the cluster has agreed."""
    record = member(znodes, life.node)
    return record is not None and record.running and record.life == life.number


def vhosts(znodes: Znodes) -> list[VhostRecord]:
    return listed(znodes, VhostRecord, VHOSTS)


def vhost(znodes: Znodes, name: str) -> VhostRecord | None:
    return read(znodes, VhostRecord, vhost_path(name))


def users(znodes: Znodes) -> list[UserRecord]:
    return listed(znodes, UserRecord, USERS)


def user(znodes: Znodes, name: str) -> UserRecord | None:
    return read(znodes, UserRecord, user_path(name))


def permission(znodes: Znodes, vhost: str, name: str) -> PermissionRecord | None:
    return read(znodes, PermissionRecord, permission_path(vhost, name))


def permissions(znodes: Znodes, vhost: str) -> list[PermissionRecord]:
    return listed(znodes, PermissionRecord, vhost_path(vhost, "permissions"))


def topic_permission(znodes: Znodes, vhost: str, user: str, exchange: str) -> TopicPermissionRecord | None:
    return read(znodes, TopicPermissionRecord, topic_permission_path(vhost, user, exchange))


def topic_permissions(znodes: Znodes, vhost: str) -> list[TopicPermissionRecord]:
    return listed(znodes, TopicPermissionRecord, vhost_path(vhost, "topic_permissions"))


def queue(znodes: Znodes, vhost: str, name: str) -> QueueRecord | None:
    return read(znodes, QueueRecord, queue_path(vhost, name))


def queue_by_id(znodes: Znodes, queue_id: int) -> QueueRecord | None:
    return next(iter(found(znodes, QueueRecord, id_key(queue_id))), None)


def queues(znodes: Znodes, vhost: str) -> list[QueueRecord]:
    """The queues that clients know of."""
    return [record for record in all_queues(znodes, vhost) if not record.delays]


def all_queues(znodes: Znodes, vhost: str) -> list[QueueRecord]:
    """Also those in which the messages of delayed exchanges wait."""
    return listed(znodes, QueueRecord, vhost_path(vhost, "queues"))


def exchange(znodes: Znodes, vhost: str, name: str) -> ExchangeRecord | None:
    return read(znodes, ExchangeRecord, exchange_path(vhost, name))


def exchanges(znodes: Znodes, vhost: str) -> list[ExchangeRecord]:
    return listed(znodes, ExchangeRecord, vhost_path(vhost, "exchanges"))


def bindings(znodes: Znodes, vhost: str) -> list[BindingRecord]:
    return listed(znodes, BindingRecord, vhost_path(vhost, "bindings"))


def policies(znodes: Znodes, vhost: str, *, operator: bool = False) -> list[Policy]:
    """The policies or operator policies of a virtual host."""
    folder = vhost_path(vhost, "operator_policies" if operator else "policies")
    return [_policy(data) for name in znodes.children(folder) if (data := znodes.data(f"{folder}/{name}")) is not None]


@lru_cache(maxsize=1024)
def _policy(data: bytes) -> Policy:
    value: dict[str, Any] = json.loads(data)
    return Policy.from_json(value)


def encode_policy(policy: Policy) -> bytes:
    """The bytes of a policy."""
    return json.dumps(policy.as_json(), sort_keys=True, separators=(",", ":")).encode()
