"""Consistent hash exchanges: each message goes to one destination, equal messages to the same one.

Decides by weighted rendezvous: every destination draws a lot for what is hashed, and its chance to win is its weight,
the sum of its binding keys. So the shares are as the weights, and a destination that comes or goes takes or leaves only
its own share. All nodes decide alike, whatever the order of the bindings. It must not know where values come from.

Source: RabbitMQ 3.10, `rabbit_exchange_type_consistent_hash`. It hashes otherwise, so the same message may go to
another queue there; and of several bindings of one destination it counts the first alone, which ends with any of them.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from math import log
from typing import Any

from broker.routing.exchange import BindingInvalid, Destination, Exchange, ExchangeInvalid, Message
from broker.wire.field_terms import printed, type_name

PROPERTIES = ("correlation_id", "message_id", "timestamp")

_INTEGER = re.compile(r"[+-]?[0-9]+")
_LOTS = 1 << 64


class ConsistentHash(Exchange):
    """Destinations with their weights."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """`arguments` are those of the exchange, valid (see `check`)."""
        self._header: str | None = arguments.get("hash-header")
        self._property: str | None = arguments.get("hash-property")
        self.per_message = self._header is not None or self._property is not None
        self._weights: dict[Destination, int] = {}
        self._names: dict[Destination, bytes] = {}

    def bind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """The key is the weight. Raises BindingInvalid."""
        check_weight(key)
        self._weights[destination] = self._weights.get(destination, 0) + int(key)
        name = f"{destination.kind} {destination.name}".encode("utf-8", "surrogateescape")
        self._names[destination] = blake2b(name, digest_size=16).digest()

    def unbind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Undo `bind`."""
        self._weights[destination] -= int(key)
        if not self._weights[destination]:
            del self._weights[destination]
            del self._names[destination]

    def match(self, keys: Sequence[str], message: Message) -> Collection[Destination]:
        """The one destination for what the exchange hashes; CC and BCC do not count (RabbitMQ)."""
        if len(self._weights) < 2:
            return list(self._weights)
        value = self._hashed(keys[0], message)
        winner = min(self._weights, key=lambda destination: self._wait(destination, value))
        return (winner,)

    def _hashed(self, key: str, message: Message) -> bytes:
        """What decides, as bytes; a message without it is like any other without it."""
        value: Any = key
        if self._header is not None:
            value = message.headers.get(self._header)
        elif self._property is not None:
            value = message.property(self._property)
        return printed(value).encode("utf-8", "surrogateescape")

    def _wait(self, destination: Destination, value: bytes) -> float:
        """How long until this destination's lot is drawn: exponential, its rate is the weight. The first one wins."""
        lot = int.from_bytes(blake2b(value, digest_size=8, key=self._names[destination]).digest(), "big")
        return -log((lot + 0.5) / _LOTS) / self._weights[destination]


def check(arguments: Mapping[str, Any]) -> None:
    """Raises ExchangeInvalid if the arguments of an exchange do not say what to hash.

    RabbitMQ ends the connection with an internal error where a name is no text.
    """
    for argument in ("hash-header", "hash-property"):
        if argument in arguments and not isinstance(arguments[argument], str):
            raise ExchangeInvalid(f"invalid type '{type_name(arguments[argument])}' for arg '{argument}'")
    if "hash-header" in arguments and "hash-property" in arguments:
        raise ExchangeInvalid("hash-header and hash-property are mutually exclusive")
    if arguments.get("hash-property", PROPERTIES[0]) not in PROPERTIES:
        raise ExchangeInvalid(f"Unsupported property: {arguments['hash-property']}")


def check_weight(key: str) -> None:
    """Raises BindingInvalid if the key of a binding is no weight."""
    if not _INTEGER.fullmatch(key):
        raise BindingInvalid(f"The binding key must be an integer: {printed(key)}")
    if int(key) < 1:
        raise BindingInvalid("The binding key must be greater than 0")
