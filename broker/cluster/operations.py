"""What a transaction does to the tree, as absolute effects, and its bytes in the log.

Decides the four operations and their encoding. It must not know why anything is done: conditions were checked by the
leader, once; what stands in the log holds whatever state it meets (ZAB, "idempotent effect"). An `Event` changes
nothing: it is news that every node gets in its place among the changes.
"""

import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

FORMAT = 1
"""First byte of an encoded transaction."""


@dataclass(frozen=True, slots=True)
class Create:
    """A new znode. `created` is how many children its parent has ever got, this one included; it numbers sequential
    ones. `owner` is the session of an ephemeral znode, 0 for one that stays."""

    path: str
    data: bytes
    created: int
    owner: int = 0


@dataclass(frozen=True, slots=True)
class Set:
    """New data under a new version."""

    path: str
    data: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Delete:
    """The znode is gone; it has no children by then."""

    path: str


@dataclass(frozen=True, slots=True)
class Event:
    """News for the time line of every node: a JSON object with at least `kind`."""

    facts: bytes

    @classmethod
    def of(cls, kind: str, **facts: Any) -> "Event":
        """An event of this kind."""
        return cls(json.dumps({"kind": kind, **facts}, separators=(",", ":")).encode())


Operation = Create | Set | Delete | Event

_CREATE = struct.Struct(">cIIQQ")
_SET = struct.Struct(">cIIQ")
_SHORT = struct.Struct(">cI")


def encode(operations: Iterable[Operation]) -> bytes:
    """The bytes of one transaction."""
    parts = [bytes((FORMAT,))]
    for operation in operations:
        match operation:
            case Create(path, data, created, owner):
                name = path.encode()
                parts += (_CREATE.pack(b"C", len(name), len(data), created, owner), name, data)
            case Set(path, data, version):
                name = path.encode()
                parts += (_SET.pack(b"S", len(name), len(data), version), name, data)
            case Delete(path):
                name = path.encode()
                parts += (_SHORT.pack(b"D", len(name)), name)
            case Event(facts):
                parts += (_SHORT.pack(b"E", len(facts)), facts)
    return b"".join(parts)


def decode(payload: bytes) -> list[Operation]:
    """The operations of one transaction. Raises ValueError for bytes that `encode` did not make."""
    if payload[:1] != bytes((FORMAT,)):
        raise ValueError(f"not a transaction of format {FORMAT}: {payload[:16]!r}")
    found: list[Operation] = []
    offset = 1
    try:
        while offset < len(payload):
            operation, offset = _READERS[payload[offset]](payload, offset)
            found.append(operation)
    except (KeyError, struct.error) as error:
        raise ValueError(f"damaged transaction at byte {offset} of {len(payload)}") from error
    if offset != len(payload):
        raise ValueError(f"transaction of {len(payload)} bytes ends at byte {offset}")
    return found


def _read_create(payload: bytes, offset: int) -> tuple[Operation, int]:
    _, name, size, created, owner = _CREATE.unpack_from(payload, offset)
    middle = offset + _CREATE.size + name
    end = middle + size
    return Create(payload[middle - name : middle].decode(), payload[middle:end], created, owner), end


def _read_set(payload: bytes, offset: int) -> tuple[Operation, int]:
    _, name, size, version = _SET.unpack_from(payload, offset)
    middle = offset + _SET.size + name
    end = middle + size
    return Set(payload[middle - name : middle].decode(), payload[middle:end], version), end


def _read_delete(payload: bytes, offset: int) -> tuple[Operation, int]:
    _, name = _SHORT.unpack_from(payload, offset)
    start = offset + _SHORT.size
    return Delete(payload[start : start + name].decode()), start + name


def _read_event(payload: bytes, offset: int) -> tuple[Operation, int]:
    _, size = _SHORT.unpack_from(payload, offset)
    start = offset + _SHORT.size
    return Event(payload[start : start + size]), start + size


_READERS: dict[int, Callable[[bytes, int], tuple[Operation, int]]] = {
    ord("C"): _read_create,
    ord("S"): _read_set,
    ord("D"): _read_delete,
    ord("E"): _read_event,
}
