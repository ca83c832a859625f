"""The shapes of what stands in the tree, and their bytes: compact JSON without the fields that have their default.

Decides which facts the cluster agrees on. It must not know paths (`schema`) nor rules (`succession`, `procedures`).
Records are immutable, dictionaries inside them too by agreement; decoding is memoised by the bytes, so the same znode
is decoded once however many ask.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache, lru_cache
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

CACHE_RECORDS_MAX = 32_768


class Life(NamedTuple):
    """One run of one node: the number grows with each start (DESIGN rule S12)."""

    node: str
    number: int


class Owner(NamedTuple):
    """The connection to which an exclusive queue belongs."""

    node: str
    life: int
    connection: str


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """The cluster itself; `id` is made at the founding and stands in every data folder."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class MemberRecord:
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


@dataclass(frozen=True, slots=True)
class VhostRecord:
    """A virtual host."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    converters: ClassVar[Mapping[str, Callable[[Any], Any]]] = {"tags": tuple}


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user; an empty hash means that no password fits."""

    name: str
    password_hash: str = ""
    hashing_algorithm: str = "rabbit_password_hashing_sha256"
    tags: tuple[str, ...] = ()
    converters: ClassVar[Mapping[str, Callable[[Any], Any]]] = {"tags": tuple}


@dataclass(frozen=True, slots=True)
class PermissionRecord:
    """What a user may do in a virtual host: three regular expressions on resource names."""

    user: str
    vhost: str
    configure: str
    write: str
    read: str


@dataclass(frozen=True, slots=True)
class ExchangeRecord:
    """An exchange; `definition` is what its policies come to, None without any."""

    id: int
    vhost: str
    name: str
    kind: str
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    policy: str | None = None
    operator_policy: str | None = None
    definition: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class BindingRecord:
    """A binding from an exchange to a queue or an exchange (`destination_kind` "queue" or "exchange")."""

    vhost: str
    source: str
    destination_kind: str
    destination: str
    key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)


RUNNING, WAITING, UNAVAILABLE = "running", "waiting", "unavailable"
COMPLETENESS = "completeness"
"""`reason` of a waiting queue whose living mirrors are to be asked which of them has most."""


@dataclass(frozen=True, slots=True)
class QueueRecord:
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
    exclusive: Owner | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    policy: str | None = None
    operator_policy: str | None = None
    definition: Mapping[str, Any] | None = field(default=None, hash=False)
    """Policy and operator policy merged (`effective_policy_definition`), None without any."""
    version: int = 0
    """Every change of this record raises it, and is conditional on it."""
    converters: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "master": lambda value: Life(*value),
        "mirrors": lambda values: tuple(Life(*value) for value in values),
        "in_sync": lambda values: tuple(Life(*value) for value in values),
        "candidates": tuple,
        "exclusive": lambda value: Owner(*value),
    }

    @property
    def is_mirrored(self) -> bool:
        """Whether mirror fields are shown: mirrored with no mirror now is not the same as not mirrored."""
        return self.exclusive is None and self.definition is not None and "ha-mode" in self.definition


R = TypeVar("R")


def encode(record: Any) -> bytes:
    """The bytes of a record."""
    facts = {}
    kind: Any = type(record)
    for name, default in _fields_of(kind):
        value = getattr(record, name)
        if value != default:
            facts[name] = value
    return _to_json(facts).encode()


def decode(kind: type[R], data: bytes) -> R:
    """The record of that kind in these bytes; fields that this version does not know are passed over."""
    # mypy takes a class for unhashable where lru_cache asks for a key.
    record: R = _decode(cast("Any", kind), data)
    return record


_to_json = json.JSONEncoder(separators=(",", ":")).encode


@lru_cache(maxsize=CACHE_RECORDS_MAX)
def _decode(kind: Any, data: bytes) -> Any:
    found = json.loads(data)
    converters = getattr(kind, "converters", {})
    facts = {}
    for name, _ in _fields_of(kind):
        if name in found:
            facts[name] = converters[name](found[name]) if name in converters else found[name]
    return kind(**facts)


@cache
def _fields_of(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Name and default of each field; the MISSING of a required one is equal to no value."""
    return tuple(
        (one.name, one.default_factory() if one.default_factory is not MISSING else one.default) for one in fields(kind)
    )
