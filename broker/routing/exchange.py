"""What every kind of exchange can do: take bindings, give them up, and say where a message goes.

Decides only that common shape. A kind must not know other exchanges, queues or the graph around it.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from broker.wire.properties import Properties

DestinationKind = Literal["queue", "exchange"]


class Destination(NamedTuple):
    """Where a binding leads."""

    kind: DestinationKind
    name: str


class ExchangeInvalid(Exception):
    """An exchange of this kind cannot have these arguments; the text is RabbitMQ's."""


class BindingInvalid(Exception):
    """The exchange cannot work with the key or the arguments of a binding; the text is RabbitMQ's."""


class Message:
    """A message as far as an exchange may look at it: its headers, and its other properties if one asks."""

    __slots__ = ("_content", "headers")

    def __init__(self, headers: Mapping[str, Any], content: bytes = b"") -> None:
        self.headers = headers
        self._content = content

    def property(self, name: str) -> Any:
        """One of the fourteen, by its name in `Properties`; None if the publisher gave none."""
        return getattr(Properties.of(self._content), name) if self._content else None


class Exchange(ABC):
    """The bindings of one exchange, arranged for its kind of matching."""

    per_message = False
    """Whether messages with the same routing key may go different ways: then each has to be asked for."""

    @abstractmethod
    def bind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Add a binding that is not there yet. Raises BindingInvalid."""

    @abstractmethod
    def unbind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Remove a binding that is there."""

    @abstractmethod
    def match(self, keys: Sequence[str], message: Message) -> Collection[Destination]:
        """Destinations of a message with these routing keys, its own first; repeats allowed."""


class Destinations(Collection[Destination]):
    """Destinations with the number of bindings that lead to each from one place."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[Destination, int] = {}

    def add(self, destination: Destination) -> None:
        """One more binding leads there."""
        self._counts[destination] = self._counts.get(destination, 0) + 1

    def remove(self, destination: Destination) -> None:
        """One binding less leads there."""
        if self._counts[destination] == 1:
            del self._counts[destination]
        else:
            self._counts[destination] -= 1

    def __contains__(self, destination: object) -> bool:
        return destination in self._counts

    def __iter__(self) -> Iterator[Destination]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)
