"""The shapes of what stands in the tree, and their bytes: compact JSON without the fields that have their default.

Decides which facts the cluster agrees on. It must not know paths (`schema`) nor rules (`succession`, `procedures`).
Records are immutable, dictionaries inside them too by agreement; decoding is memoised by the bytes, so the same znode
is decoded once however many ask.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from broker.cluster.arguments import from_json
from policies.quorum import mirroring

CACHE_RECORDS_MAX = 32_768


NOTHING: Mapping[str, Any] = MappingProxyType({})


class Life(NamedTuple):
    """One run of one node: the number grows with each start (DESIGN rule S12)."""

    node: str
    number: int


class Owner(NamedTuple):
    """The connection to which an exclusive queue belongs."""

    node: str
    life: int
    connection: str


class ClusterRecord(NamedTuple):
    """The cluster itself; `id` is made at the founding and stands in every data folder."""

    name: str
    id: str
    title: str = ""
    """What clients are told, if an operator wants another word than the name, by which nodes know each other."""


class MemberRecord(NamedTuple):
    """One member and its newest life; `running` until that life has ended, `why` says how it did."""

    name: str
    life: int = 0
    running: bool = False
    why: str = ""
    folder: str = ""
    """The data folder's own id; another one means that the node has lost its memory (rule S13)."""
    memory: bool = False
    """`data: memory`: what a life had is gone with it."""
    memory_from: int = 0
    """The oldest life whose copies the present folder can still hold."""
    token: str = ""
    """Names the process that registered the life, so that a repeated request is known from a rival."""
    drained: bool = False
    """In maintenance: it serves no clients, and no master goes there that could be elsewhere."""
    link: str = ""
    """Where other nodes dial it; empty if it has not said so."""
    leaving: bool = False
    """Retired: it gets no vote any more, and is about to be forgotten."""


class VhostRecord(NamedTuple):
    """A virtual host."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    limits: Mapping[str, int] = NOTHING
    """`max-connections` and `max-queues`; negative or missing: no limit, 0: none at all."""
    default_queue_type: str = ""
    """Of queues that are declared without one."""


class UserRecord(NamedTuple):
    """A user; an empty hash means that no password fits."""

    name: str
    password_hash: str = ""
    hashing_algorithm: str = "rabbit_password_hashing_sha256"
    tags: tuple[str, ...] = ()
    limits: Mapping[str, int] = NOTHING
    """`max-connections` and `max-channels`, as for a virtual host."""


class PermissionRecord(NamedTuple):
    """What a user may do in a virtual host: three regular expressions on resource names."""

    user: str
    vhost: str
    configure: str
    write: str
    read: str


class TopicPermissionRecord(NamedTuple):
    """Which routing keys a user may publish with to a topic exchange, and bind with: two regular expressions."""

    user: str
    vhost: str
    exchange: str
    write: str
    read: str


class GlobalParameterRecord(NamedTuple):
    """A value that somebody has left with the cluster under a name; nothing here follows from it."""

    name: str
    value: Any


class ExchangeRecord(NamedTuple):
    """An exchange; `definition` is what its policies come to, None without any."""

    id: int
    vhost: str
    name: str
    kind: str
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, Any] = NOTHING
    policy: str | None = None
    operator_policy: str | None = None
    definition: Mapping[str, Any] | None = None


class BindingRecord(NamedTuple):
    """A binding from an exchange to a queue or an exchange (`destination_kind` "queue" or "exchange")."""

    vhost: str
    source: str
    destination_kind: str
    destination: str
    key: str = ""
    arguments: Mapping[str, Any] = NOTHING


RUNNING, WAITING, UNAVAILABLE = "running", "waiting", "unavailable"
COMPLETENESS = "completeness"
"""`reason` of a waiting queue whose living mirrors are to be asked which of them has most."""


class QueueRecord(NamedTuple):
    """A queue: who it is, where its copies are, and which of them hold everything (DESIGN rules S2, S3)."""

    id: int
    """The zxid of the declaration; a name can be declared again, an id never."""
    vhost: str
    name: str
    master: Life
    term: int
    """The zxid of the transaction that made the master; it may append under no other."""
    term_count: int = 1
    """The same for people: how many masters there were."""
    mirrors: tuple[Life, ...] = ()
    """Living copies, oldest first, without the master."""
    in_sync: tuple[Life, ...] = ()
    """Who holds every living record, the master first; never empty. While the queue waits: who did."""
    candidates: tuple[str, ...] = ()
    """Nodes with a mirror, or stopped nodes that had one, oldest first (RabbitMQ's `recoverable_slaves`)."""
    lossy_term: int = 0
    """The last term whose master was not in sync: what another copy has beyond it is set aside, not dropped (S5)."""
    state: str = RUNNING
    reason: str = ""
    durable: bool = False
    auto_delete: bool = False
    used: bool = False
    """Of one that goes with its last consumer: it has had one."""
    exclusive: Owner | None = None
    arguments: Mapping[str, Any] = NOTHING
    policy: str | None = None
    operator_policy: str | None = None
    definition: Mapping[str, Any] | None = None
    """Policy and operator policy merged (`effective_policy_definition`), None without any."""
    version: int = 0
    """Every change of this record raises it, and is conditional on it."""
    delays: str = ""
    """The delayed exchange whose messages wait here: then no client knows of this queue."""
    paused: bool = False
    """Nothing of it is given out until an operator says so."""

    @property
    def mirroring(self) -> Mapping[str, Any]:
        """The definition by which it has its copies: what its policies say, or its type."""
        return mirroring(from_json(self.arguments) if self.arguments else self.arguments, self.definition)

    @property
    def expects_master(self) -> bool:
        """Whether it has a master, or is about to get one: its living mirrors are just being asked which has most."""
        return self.state == RUNNING or self.reason == COMPLETENESS

    @property
    def is_mirrored(self) -> bool:
        """Whether mirror fields are shown: mirrored with no mirror now is not the same as not mirrored."""
        return self.exclusive is None and "ha-mode" in self.mirroring


R = TypeVar("R")

_known: dict[tuple[Any, bytes], Any] = {}
"""The records of the newest bytes, oldest first: a record is decoded once, and not at all where it was encoded."""


def encode(record: Any) -> bytes:
    """The bytes of a record."""
    kind: Any = type(record)
    facts = {name: value for value, (name, default) in zip(record, _fields_of(kind), strict=True) if value != default}
    data = _to_json(facts).encode()
    _remember(kind, data, record)
    return data


def decode(kind: type[R], data: bytes) -> R:
    """The record of that kind in these bytes; fields that this version does not know are passed over."""
    record: R | None = _known.get((kind, data))
    if record is None:
        record = _decode(kind, data)
        _remember(kind, data, record)
    return record


def _remember(kind: Any, data: bytes, record: Any) -> None:
    _known[kind, data] = record
    if len(_known) > CACHE_RECORDS_MAX:
        del _known[next(iter(_known))]


_to_json = json.JSONEncoder(separators=(",", ":")).encode


def _lives(values: list[Any]) -> tuple[Life, ...]:
    return tuple(Life(*value) for value in values)


_CONVERTERS: dict[Any, dict[str, Callable[[Any], Any]]] = {
    VhostRecord: {"tags": tuple},
    UserRecord: {"tags": tuple},
    QueueRecord: {
        "master": lambda value: Life(*value),
        "mirrors": _lives,
        "in_sync": _lives,
        "candidates": tuple,
        "exclusive": lambda value: Owner(*value),
    },
}


def _decode(kind: Any, data: bytes) -> Any:
    facts = json.loads(data)
    for name, converter in _CONVERTERS.get(kind, {}).items():
        if name in facts:
            facts[name] = converter(facts[name])
    try:
        return kind(**facts)
    except TypeError:
        return kind(**{name: facts[name] for name in kind._fields if name in facts})


@cache
def _fields_of(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Name and default of each field; the default of a required one is equal to no value."""
    return tuple((name, kind._field_defaults.get(name, _REQUIRED)) for name in kind._fields)


_REQUIRED = object()
