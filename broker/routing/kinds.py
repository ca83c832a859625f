"""The kinds of exchanges that there are: their names, how one is made, and what it cannot be asked for.

Decides which class stands for which name, and whether the arguments of an exchange or a binding make sense to its kind.
It must not know who declares.
"""

from collections.abc import Mapping
from random import Random
from typing import Any, Final

from broker.routing import consistent_hash, delayed, headers
from broker.routing.consistent_hash import ConsistentHash
from broker.routing.delayed import Delayed
from broker.routing.direct import Direct
from broker.routing.exchange import Exchange, ExchangeInvalid
from broker.routing.fanout import Fanout
from broker.routing.headers import Headers
from broker.routing.random_choice import RandomChoice
from broker.routing.topic import Topic

CONSISTENT_HASH: Final = "x-consistent-hash"
DELAYED: Final = "x-delayed-message"

KINDS: Final = {
    "direct": "AMQP direct exchange, as per the AMQP specification",
    "fanout": "AMQP fanout exchange, as per the AMQP specification",
    "headers": "AMQP headers exchange, as per the AMQP specification",
    "topic": "AMQP topic exchange, as per the AMQP specification",
    CONSISTENT_HASH: "Consistent Hashing Exchange",
    DELAYED: "Delayed Message Exchange.",
    "x-random": "Randomly picks a binding (queue) to route via (to).",
}
"""Each kind with RabbitMQ's description."""


class KindUnknown(Exception):
    """There is no such kind of exchange; the text is RabbitMQ's."""


def made(name: str, kind: str, arguments: Mapping[str, Any], chance: Random) -> Exchange:
    """A new exchange, without bindings; kind and arguments are valid (see `check`)."""
    match kind:
        case "direct":
            return Direct()
        case "fanout":
            return Fanout()
        case "headers":
            return Headers()
        case "topic":
            return Topic()
        case "x-consistent-hash":
            return ConsistentHash(arguments)
        case "x-random":
            return RandomChoice(chance)
        case "x-delayed-message":
            return Delayed(name, made(name, arguments[delayed.ARGUMENT], arguments, chance))
    raise KeyError(kind)


def check_kind(kind: str) -> None:
    """Raises KindUnknown."""
    if kind not in KINDS:
        raise KindUnknown(f"{'unknown' if kind else 'invalid'} exchange type '{kind}'")


def check(kind: str, arguments: Mapping[str, Any]) -> None:
    """Raises KindUnknown, or ExchangeInvalid if an exchange of this kind cannot have these arguments."""
    check_kind(kind)
    if kind == CONSISTENT_HASH:
        consistent_hash.check(arguments)
    if kind == DELAYED:
        inner = arguments.get(delayed.ARGUMENT)
        if inner == DELAYED:
            raise ExchangeInvalid(f"Invalid argument, '{DELAYED}' can't be used for '{delayed.ARGUMENT}'")
        if not isinstance(inner, str):
            raise ExchangeInvalid(f"Invalid argument, '{delayed.ARGUMENT}' must be an existing exchange type")
        check(inner, arguments)


def check_binding(kind: str, exchange_arguments: Mapping[str, Any], key: str, arguments: Mapping[str, Any]) -> None:
    """Raises BindingInvalid if an exchange of this kind cannot work with such a binding."""
    if kind == DELAYED:
        kind = exchange_arguments[delayed.ARGUMENT]
    if kind == "headers":
        headers.validate(arguments)
    elif kind == CONSISTENT_HASH:
        consistent_hash.check_weight(key)
