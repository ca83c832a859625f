"""Lives that say themselves that they are about to end: heard from their nodes, and kept until a newer one is heard of.

Decides how that is said. A node whose disk has failed cannot take part in deciding what follows from it; but it can
speak, so that whoever leads, now or after it, ends its life at once and knows why. It must not know what follows.
"""

import json

from broker.cluster.records import Life
from broker.cluster.succession import DISK

REASONS = (DISK,)


class Farewells:
    """At most one for each node."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[int, str]] = {}

    def note(self, life: Life, why: str) -> None:
        """The life ends, and this is why."""
        self._said[life.node] = (life.number, why)

    def why(self, life: Life) -> str:
        """What it said; empty if nothing."""
        number, why = self._said.get(life.node, (0, ""))
        return why if number == life.number else ""


def encode(life: int, why: str) -> bytes:
    """As it travels."""
    return json.dumps([life, why]).encode()


def decode(data: bytes) -> tuple[int, str]:
    """Raises ValueError, TypeError."""
    life, why = json.loads(data)
    if why not in REASONS:
        raise ValueError(f"a life does not end by {why!r}")
    return int(life), str(why)
