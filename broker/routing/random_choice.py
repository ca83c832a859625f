"""Random exchanges: each message goes to one destination, whichever it is (RabbitMQ, `rabbit_exchange_type_random`).

Decides by the chance that is handed in, every binding alike; keys and headers do not matter.
"""

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Any

from broker.routing.exchange import Destination, Exchange, Message


class RandomChoice(Exchange):
    """All bindings' destinations."""

    per_message = True

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._bound: list[Destination] = []

    def bind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """One more lot for this destination."""
        self._bound.append(destination)

    def unbind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Undo `bind`."""
        self._bound.remove(destination)

    def match(self, keys: Sequence[str], message: Message) -> Collection[Destination]:
        """One of those that are bound."""
        return (self._chance.choice(self._bound),) if self._bound else ()
