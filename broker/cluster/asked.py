"""A request from outside: how its members are read, and what is said of one that is missing or of another type.

Decides that a malformed request is refused in one line that names the member, and never a fault of whoever reads it. It
must not know any request.
"""

from collections.abc import Mapping
from reprlib import Repr
from typing import Any, Final, TypeVar

from broker.cluster.refusal import Refused

T = TypeVar("T")

NESTING_MAX: Final = 64
"""As AMQP's tables (`wire.fields`)."""

REQUIRED: Any = object()
_shown = Repr()
_shown.maxstring = _shown.maxother = 100


def ask(request: Mapping[str, Any], name: str, kind: type[T], default: T = REQUIRED) -> T:
    """A member of a request. Raises Refused `invalid` if it is missing without default, or of another type."""
    value: T = request.get(name, default)
    if value is REQUIRED:
        raise Refused("invalid", f"{_verb(request)}{name} is missing")
    if value is not default and not _is_of(value, kind):
        raise Refused("invalid", f"{_verb(request)}{name} is {_shown.repr(value)}, not of type {kind.__name__}")
    return value


def ask_each(request: Mapping[str, Any], name: str, kind: type[T], default: dict[str, T] = REQUIRED) -> dict[str, T]:
    """A member that is an object with such values. Raises Refused `invalid`."""
    members: dict[str, T] = ask(request, name, dict, default)
    return {member: ask(members, member, kind) for member in members}


def ask_all(request: Mapping[str, Any], name: str, kind: type[T], default: list[T] = REQUIRED) -> list[T]:
    """A member that is a list of such values. Raises Refused `invalid`."""
    values = ask(request, name, list, default)
    for value in values:
        if not _is_of(value, kind):
            raise Refused("invalid", f"{_verb(request)}{name} has {_shown.repr(value)}, not of type {kind.__name__}")
    return values


def check_nesting(request: Mapping[str, Any]) -> None:
    """Raises Refused `invalid` for what would be too deep for those who go down into it."""
    level: list[Any] = [request]
    for _ in range(NESTING_MAX):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise Refused("invalid", f"a request is nested at most {NESTING_MAX} deep")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _is_of(value: Any, kind: type[Any]) -> bool:
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _verb(request: Mapping[str, Any]) -> str:
    do = request.get("do")
    return f"{do}: " if isinstance(do, str) else ""
