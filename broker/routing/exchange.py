"""What every kind of exchange can do: take bindings, give them up, and say where a message goes.

Decides only that common shape. A kind must not know other exchanges, queues or the graph around it.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

DestinationKind = Literal["queue", "exchange"]


class Destination(NamedTuple):
    """Where a binding leads."""

    kind: DestinationKind
    name: str


class BindingInvalid(Exception):
    """The exchange cannot work with the arguments of a binding; the text is RabbitMQ's."""


class Exchange(ABC):
    """The bindings of one exchange, arranged for its kind of matching."""

    needs_headers = False
    """Whether `match` looks at a message's headers."""

    @abstractmethod
    def bind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Add a binding that is not there yet. Raises BindingInvalid."""

    @abstractmethod
    def unbind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Remove a binding that is there."""

    @abstractmethod
    def match(self, keys: Iterable[str], headers: Mapping[str, Any]) -> Collection[Destination]:
        """Destinations of a message with these routing keys, repeats allowed."""


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
