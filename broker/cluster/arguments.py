"""AMQP arguments in JSON and back, and whether two declarations mean the same.

Decides how the types that JSON lacks travel in requests and records (an object with the single member `$` and the
type's name), and RabbitMQ's rules of equivalence with their texts. It must not know what an argument does. Source:
RabbitMQ 3.10, `rabbit_misc:assert_args_equivalence` and `rabbit_amqqueue:check_arguments`.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from broker.cluster.refusal import Refused
from broker.wire.field_terms import printed, type_name
from broker.wire.fields import Byte, Long, Short, Single, Sized, Timestamp, UnsignedByte, UnsignedInt, UnsignedShort

TAG: Final = "$"
TABLE: Final = "table"
"""The tag of a table that has a member named as tags are."""

QUEUE_ARGUMENTS: Final = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-queue-master-locator",
    "x-queue-leader-locator",
    "x-quorum-initial-group-size",
    "x-delivery-limit",
    "x-dead-letter-strategy",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
)
"""The arguments by which two declarations of a queue are compared."""
EXCHANGE_ARGUMENTS: Final = ("alternate-exchange",)


def to_json(value: Any) -> Any:
    """A field value as JSON can carry it."""
    match value:
        case Timestamp() | Sized():
            return {TAG: type(value).__name__, "value": int(value)}
        case Single():
            return {TAG: "Single", "value": float(value)}
        case bytes() | bytearray():
            return {TAG: "bytes", "value": b64encode(value).decode()}
        case Decimal():
            return {TAG: "Decimal", "value": str(value)}
        case Mapping():
            table = {name: to_json(item) for name, item in value.items()}
            return {TAG: TABLE, "value": table} if TAG in value else table  # else a client could pass off what is none
        case list() | tuple():
            return [to_json(item) for item in value]
    return value


def from_json(value: Any) -> Any:
    """The field value again."""
    if isinstance(value, Mapping):
        if isinstance(kind := value.get(TAG), str) and value.keys() == {TAG, "value"}:
            if kind in _KINDS:
                return _KINDS[kind](value["value"])
            if kind == TABLE:
                value = value["value"]
        return {name: from_json(item) for name, item in value.items()}
    return [from_json(item) for item in value] if isinstance(value, list) else value


def to_plain(value: Any) -> Any:
    """A field value as JSON can say it to people: types that JSON lacks become their nearest kin."""
    match value:
        case Mapping():
            return {name: to_plain(item) for name, item in value.items()}
        case list() | tuple():
            return [to_plain(item) for item in value]
        case bytes() | bytearray():
            return value.decode("utf-8", "replace")
        case Decimal():
            return float(value)
        case float() if not isfinite(value):
            return None  # JSON has no such number: readers would stop at it
    return value


_NUMBERS: Final = (Timestamp, Byte, UnsignedByte, Short, UnsignedShort, UnsignedInt, Long, Single)
_KINDS: Final[dict[str, Any]] = {kind.__name__: kind for kind in _NUMBERS} | {"bytes": b64decode, "Decimal": Decimal}


def check_same(resource: str, present: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Properties of the same names, as durable and auto_delete. Raises Refused `inequivalent`."""
    for name, value in present.items():
        if value != given[name]:
            _differ(name, resource, _plain(given[name]), _plain(value))


def check_arguments(resource: str, names: Iterable[str], present: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """The arguments that count, both in their JSON form. Raises Refused `inequivalent`."""
    for name in names:
        if name in present and name in given:
            if not _is_same(from_json(present[name]), from_json(given[name])):
                _differ(name, resource, _plain(given[name]), _plain(present[name]))
        elif (name in present or name in given) and (name, {**present, **given}[name]) != ("x-queue-type", "classic"):
            _differ(name, resource, _typed(name, given), _typed(name, present))


def _is_same(one: Any, other: Any) -> bool:
    """An integer is an integer, whatever its width; a boolean or a time is none (Python would call True equal to 1)."""
    return _class_of(one) is _class_of(other) and bool(one == other)


def _class_of(value: Any) -> type:
    kind = type(value)
    return kind if kind in (bool, Timestamp) else next((base for base in (int, float) if issubclass(kind, base)), kind)


def _differ(name: str, resource: str, received: str, current: str) -> None:
    why = f"inequivalent arg '{name}' for {resource}: received {received} but current is {current}"
    raise Refused("inequivalent", why)


def _plain(value: Any) -> str:
    bare = from_json(value)
    return "none" if bare is None else f"'{bare if isinstance(bare, str) else printed(bare)}'"


def _typed(name: str, table: Mapping[str, Any]) -> str:
    if name not in table:
        return "none"
    bare = from_json(table[name])
    return f"the value '{bare if isinstance(bare, str) else printed(bare)}' of type '{type_name(bare)}'"
