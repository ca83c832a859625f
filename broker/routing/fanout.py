"""Fanout exchanges: a message goes wherever something is bound (AMQP 0-9-1 section 3.1.3.2).

Decides nothing more; keys and headers do not matter.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from broker.routing.exchange import Destination, Destinations, Exchange, Message


class Fanout(Exchange):
    """All destinations."""

    def __init__(self) -> None:
        self._destinations = Destinations()

    def bind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Every message goes there."""
        self._destinations.add(destination)

    def unbind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Undo `bind`."""
        self._destinations.remove(destination)

    def match(self, keys: Sequence[str], message: Message) -> Collection[Destination]:
        """Whatever is bound."""
        return self._destinations
