"""Where a message goes: the exchanges and bindings of one vhost, walked from an exchange to its queues.

Decides the names of the queues, each once, in sorted order. Bindings between exchanges are followed, round trips end by
themselves, and an exchange that leads nowhere hands over to its alternate. It must not know what a queue is, nor who
may publish. Every change raises `epoch`, so that whoever remembers routes knows when to forget them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from broker.routing.exchange import Destination, DestinationKind, Exchange, Message
from broker.routing.kinds import made
from broker.routing.topic import Topic
from broker.wire.field_terms import type_name

_NO_ARGUMENTS: Mapping[str, Any] = {}


class MessageInvalid(Exception):
    """A header that exchanges look at is not what it should be; the text is RabbitMQ's."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding as it was made."""

    source: str
    destination_kind: DestinationKind
    destination: str
    key: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[Any, ...]:
        """Two bindings with the same identity are one."""
        return (self.source, self.destination_kind, self.destination, self.key, _typed(self.arguments))

    @property
    def target(self) -> Destination:
        """Where it leads."""
        return Destination(self.destination_kind, self.destination)


def _typed(value: Any) -> Any:
    """A hashable value, equal to that of another only if both are equal in type, too, down to the last entry."""
    match value:
        case Mapping():
            return ("table", frozenset((name, _typed(item)) for name, item in value.items()))
        case list() | tuple():
            return ("array", *map(_typed, value))
    return (type(value), value)


@dataclass(slots=True)
class _Place:
    """One exchange in the graph."""

    exchange: Exchange
    internal: bool
    alternate: str | None


class Graph:
    """The routes of one vhost. The default exchange "" is always there and leads to the queue named by the key."""

    def __init__(self, chance: Random) -> None:
        """`chance` decides for the exchanges that leave it to chance."""
        self.epoch = 0
        self._chance = chance
        self._places: dict[str, _Place] = {}
        self._queues: set[str] = set()
        self._bindings: dict[str, dict[tuple[Any, ...], Binding]] = {}  # by source
        self._leading_to: dict[Destination, dict[tuple[Any, ...], Binding]] = {}
        self._per_message: dict[str, bool] = {}  # by exchange, valid for this epoch

    # -- what there is -----------------------------------------------------------------------------------------------

    def add_exchange(
        self,
        name: str,
        kind: str,
        arguments: Mapping[str, Any] = _NO_ARGUMENTS,
        *,
        internal: bool = False,
        alternate: str | None = None,
    ) -> None:
        """Add an exchange of one of `kinds`; if the name is there already, only `internal` and `alternate` change."""
        place = self._places.get(name)
        if place is None:
            self._places[name] = _Place(made(name, kind, arguments, self._chance), internal, alternate)
        else:
            place.internal, place.alternate = internal, alternate
        self._changed()

    def remove_exchange(self, name: str) -> list[Binding]:
        """Remove an exchange; returns the bindings that went with it, from it and to it."""
        gone = {binding.identity: binding for binding in self.bindings_from(name)}
        gone |= {binding.identity: binding for binding in self.bindings_to("exchange", name)}
        for binding in gone.values():
            self._forget(binding)
        self._places.pop(name, None)
        self._changed()
        return list(gone.values())

    def add_queue(self, name: str) -> None:
        """The default exchange leads to this queue from now on."""
        self._queues.add(name)
        self._changed()

    def remove_queue(self, name: str) -> list[Binding]:
        """Remove a queue; returns the bindings that went with it."""
        gone = self.bindings_to("queue", name)
        for binding in gone:
            self._forget(binding)
        self._queues.discard(name)
        self._changed()
        return gone

    def bind(
        self, source: str, destination_kind: DestinationKind, destination: str, key: str, arguments: Mapping[str, Any]
    ) -> bool:
        """Add a binding; false if it was there. Raises KeyError for an unknown source, BindingInvalid."""
        binding = Binding(source, destination_kind, destination, key, dict(arguments))
        identity = binding.identity
        if identity in self._bindings.get(source, {}):
            return False
        self._places[source].exchange.bind(binding.target, key, binding.arguments)
        self._bindings.setdefault(source, {})[identity] = binding
        self._leading_to.setdefault(binding.target, {})[identity] = binding
        self._changed()
        return True

    def unbind(
        self, source: str, destination_kind: DestinationKind, destination: str, key: str, arguments: Mapping[str, Any]
    ) -> bool:
        """Remove a binding; false if it was not there."""
        wanted = Binding(source, destination_kind, destination, key, arguments)
        binding = self._bindings.get(source, {}).get(wanted.identity)
        if binding is None:
            return False
        self._forget(binding)
        self._changed()
        return True

    def __contains__(self, exchange: str) -> bool:
        return not exchange or exchange in self._places

    def is_internal(self, exchange: str) -> bool:
        """Whether clients must not publish to this exchange. Raises KeyError."""
        return bool(exchange) and self._places[exchange].internal

    def is_topic(self, exchange: str) -> bool:
        """Whether topic permissions are about this exchange: not if it is delayed, or not there."""
        place = self._places.get(exchange)
        return place is not None and isinstance(place.exchange, Topic)

    def bindings_from(self, source: str) -> list[Binding]:
        """The bindings whose source this exchange is."""
        return list(self._bindings.get(source, {}).values())

    def bindings_to(self, destination_kind: DestinationKind, destination: str) -> list[Binding]:
        """The bindings that lead to this queue or exchange; the default exchange's are not among them."""
        return list(self._leading_to.get(Destination(destination_kind, destination), {}).values())

    def bindings(self) -> list[Binding]:
        """All bindings but the default exchange's."""
        return [binding for mine in self._bindings.values() for binding in mine.values()]

    # -- where a message goes ----------------------------------------------------------------------------------------

    def route(
        self, exchange: str, key: str, headers: Mapping[str, Any] | None = None, content: bytes = b""
    ) -> tuple[str, ...]:
        """The queues for a message; headers and content may be left out if `per_message` says no. Raises KeyError.

        With headers, the routing keys in CC and BCC count like the message's own (RabbitMQ, "Sender-selected
        Distribution"); raises MessageInvalid if they are no lists.
        """
        if exchange:
            self._places[exchange]  # KeyError is the caller's answer
        keys = routing_keys(key, headers) if headers else (key,)
        message = Message(headers or {}, content)
        seen = {exchange}
        work = [exchange]
        queues: set[str] = set()
        for name in work:  # grows while it is read
            for destination in self._destinations(name, keys, message):
                if destination.kind == "queue":
                    queues.add(destination.name)
                elif destination.name not in seen:
                    seen.add(destination.name)
                    work.append(destination.name)
        return tuple(sorted(queues))

    def per_message(self, exchange: str) -> bool:
        """Whether messages with the same routing key may go different ways from this exchange (CC and BCC apart)."""
        found = self._per_message.get(exchange)
        if found is None:
            found = any(place.exchange.per_message for place in self._reachable(exchange))
            self._per_message[exchange] = found
        return found

    # -- inside ------------------------------------------------------------------------------------------------------

    def _destinations(self, name: str, keys: Sequence[str], message: Message) -> Collection[Destination]:
        if not name:
            return [Destination("queue", key) for key in keys if key in self._queues]
        place = self._places.get(name)
        if place is None:
            return []
        found = place.exchange.match(keys, message)
        if not found and place.alternate is not None:
            return [Destination("exchange", place.alternate)]
        return found

    def _reachable(self, exchange: str) -> Iterable[_Place]:
        seen = {exchange}
        work = [exchange]
        for name in work:  # grows while it is read
            place = self._places.get(name)
            if place is None:
                continue
            yield place
            onward = [b.destination for b in self._bindings.get(name, {}).values() if b.destination_kind == "exchange"]
            onward += [] if place.alternate is None else [place.alternate]
            work += [new for new in dict.fromkeys(onward) if new not in seen]
            seen.update(onward)

    def _forget(self, binding: Binding) -> None:
        identity = binding.identity
        mine = self._bindings[binding.source]
        del mine[identity]
        if not mine:
            del self._bindings[binding.source]
        leading = self._leading_to[binding.target]
        del leading[identity]
        if not leading:
            del self._leading_to[binding.target]
        self._places[binding.source].exchange.unbind(binding.target, binding.key, binding.arguments)

    def _changed(self) -> None:
        self.epoch += 1
        self._per_message.clear()


def routing_keys(key: str, headers: Mapping[str, Any]) -> tuple[str, ...]:
    """The message's routing key and those of its CC and BCC headers; entries that are no texts are passed over.

    Raises MessageInvalid if one of the headers is no list.
    """
    keys = [key]
    for name in ("CC", "BCC"):
        if name not in headers:
            continue
        more = headers[name]
        if not isinstance(more, list):
            kind = type_name(more)
            raise MessageInvalid(f'invalid message: {{unacceptable_type_in_header,"{name}",{kind}}}')
        keys += [entry for entry in more if isinstance(entry, str)]
    return tuple(dict.fromkeys(keys))
