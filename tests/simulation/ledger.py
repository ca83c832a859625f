"""What clients know: what they published, what was confirmed, what came to them and when.

Nobody publishes a message twice, so every repeat is the broker's. It must not know brokers or judges.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Delivery:
    """One delivery as a consumer saw it."""

    body: bytes
    queue: str
    consumer: str
    redelivered: bool
    headers: dict[str, Any]
    time: float

    @property
    def direct(self) -> bool:
        """Whether it came from the queue that it was published to."""
        return self.body.startswith(self.queue.encode() + b"/")


@dataclass(slots=True)
class Session:
    """One consumer on one connection."""

    consumer: str
    queue: str
    began: float
    cancels: bool
    """It has asked to be told of a failover."""
    ended: float = float("inf")


class Ledger:
    """What clients know."""

    def __init__(self) -> None:
        self.published: set[bytes] = set()
        self.confirmed: set[bytes] = set()
        self.refused: set[bytes] = set()
        self.acknowledged: set[bytes] = set()
        """Consumers have said that they need it no more."""
        self.dues: dict[bytes, float] = {}
        """When a message with a delay may come at the earliest."""
        self.deliveries: list[Delivery] = []
        self.seen: Counter[bytes] = Counter()
        self.strays: list[tuple[bytes, str]] = []
        """Answers that came to somebody who had not asked."""
        self.surfeits: list[tuple[str, int, int]] = []
        """Consumers that held more than the limit of their channel: how many, and the limit."""
        self.times: dict[bytes, float] = {}
        """When it was published."""
        self.taken_back: set[bytes] = set()
        """Published in transactions that were rolled back."""
        self.levels: dict[bytes, int] = {}
        """Priorities of those messages that have one."""
        self.sessions: list[Session] = []
        """Of consumers, in the order in which they began."""

    def publishes(self, body: bytes, time: float) -> None:
        """Somebody says it, now."""
        self.published.add(body)
        self.times[body] = time

    def answered(self, body: bytes, acked: bool) -> None:
        """A confirm came."""
        (self.confirmed if acked else self.refused).add(body)

    def delivered(self, delivery: Delivery) -> None:
        """A message came."""
        self.deliveries.append(delivery)
        self.seen[delivery.body] += 1


def text_of(body: bytes) -> str:
    """What identifies a message, for people."""
    return body.decode().rstrip()
