"""Headers exchanges: bindings name headers and values, `x-match` says how many of them must be there.

Decides by comparison as RabbitMQ's: names beginning with `x-` do not count for `all` and `any`; a binding value of no
type (void) asks only for presence; numbers are compared as numbers whatever their width, but a decimal is no number. It
must not know where the headers come from.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from broker.routing.exchange import BindingInvalid, Destination, Exchange, Message
from broker.wire.field_terms import printed, type_name

_KINDS = ("all", "any", "all-with-x", "any-with-x")
_VOID = ("void",)


class _Wanted:
    """What one binding asks for."""

    __slots__ = ("destination", "every", "fields")

    def __init__(self, destination: Destination, arguments: Mapping[str, Any]) -> None:
        kind: str = arguments.get("x-match", "all")
        self.destination = destination
        self.every: bool = kind.startswith("all")
        with_x = kind.endswith("-with-x")
        self.fields = [
            (name, frozen(value))
            for name, value in arguments.items()
            if name != "x-match" and (with_x or not name.startswith("x-"))
        ]

    def matches(self, headers: Mapping[str, Any]) -> bool:
        """Whether a message with these headers is wanted."""
        for name, wanted in self.fields:
            hit: bool = name in headers and (wanted == _VOID or wanted == frozen(headers[name]))
            if hit is not self.every:
                return not self.every
        return self.every


class Headers(Exchange):
    """Destinations with what they want."""

    per_message = True

    def __init__(self) -> None:
        self._wanted: dict[tuple[Destination, str, Any], _Wanted] = {}

    def bind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Messages with the headers that the arguments ask for go there. Raises BindingInvalid."""
        validate(arguments)
        self._wanted[destination, key, frozen(arguments)] = _Wanted(destination, arguments)

    def unbind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Undo `bind`."""
        del self._wanted[destination, key, frozen(arguments)]

    def match(self, keys: Sequence[str], message: Message) -> Collection[Destination]:
        """Whatever wants these headers."""
        return [wanted.destination for wanted in self._wanted.values() if wanted.matches(message.headers)]


def validate(arguments: Mapping[str, Any]) -> None:
    """Raises BindingInvalid if `x-match` is none of RabbitMQ's four words; it may be missing."""
    if "x-match" not in arguments:
        return
    kind = arguments["x-match"]
    if not isinstance(kind, str):
        why = f"Invalid x-match field type {type_name(kind)} (value {printed(kind)}); expected longstr"
        raise BindingInvalid(why)
    if kind not in _KINDS:
        why = f"Invalid x-match field value {printed(kind)}; expected all, any, all-with-x, or any-with-x"
        raise BindingInvalid(why)


def frozen(value: Any) -> Any:
    """A hashable value, equal to that of another field value if RabbitMQ would call the two equal."""
    match value:
        case bool():
            return ("bool", value)
        case Decimal():
            return ("decimal", value)
        case str():
            return value.encode("utf-8", "surrogateescape")
        case bytes() | bytearray():
            return bytes(value)
        case Mapping():
            return ("table", frozenset((name, frozen(entry)) for name, entry in value.items()))
        case list() | tuple():
            return ("array", *map(frozen, value))
        case None:
            return _VOID
    return value
