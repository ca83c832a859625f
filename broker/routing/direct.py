"""Direct exchanges: a message goes where its routing key was bound, letter for letter (AMQP 0-9-1 section 3.1.3.1).

Decides by one look-up per key. It must not know what the keys mean.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from broker.routing.exchange import Destination, Destinations, Exchange, Message


class Direct(Exchange):
    """Destinations by binding key."""

    def __init__(self) -> None:
        self._by_key: dict[str, Destinations] = {}

    def bind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Messages with this key go there."""
        self._by_key.setdefault(key, Destinations()).add(destination)

    def unbind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Undo `bind`."""
        destinations = self._by_key[key]
        destinations.remove(destination)
        if not destinations:
            del self._by_key[key]

    def match(self, keys: Sequence[str], message: Message) -> Collection[Destination]:
        """What is bound by any of the keys."""
        return [destination for key in keys for destination in self._by_key.get(key, ())]
