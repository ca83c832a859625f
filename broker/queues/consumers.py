"""Who gets the next message: turns, priorities, exclusive use, single active consumer; nobody during a pause.

Decides the order in which consumers are served. It must not know messages, sockets or channels: a consumer says itself
how many messages it has room for, and asks to be served again when it has room once more.
"""

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.wire.message import Run

# Up to so many messages at hand consumers take turns message by message; more are dealt out in equal shares.
DEALT_SINGLY_MAX = 32


class ExclusiveUse(Exception):
    """A consumer was refused: one of the two wants the queue for itself (AMQP 0-9-1 basic.consume, exclusive)."""


class Consumer(ABC):
    """One subscription to one queue, as its queue sees it. Also the holder of what it has not acknowledged."""

    tag: str
    ack_required: bool
    exclusive: bool
    priority: int
    arguments: dict[str, Any]

    @abstractmethod
    def room(self) -> int:
        """How many messages it may get now. A consumer that answered 0 calls `queue.pump(self)` once it has room."""

    @abstractmethod
    def deliver(self, run: "Run") -> None:
        """Take the run; never more messages than `room` said. It must not call the queue back before it returns."""


class Consumers:
    """The consumers of one queue in the order of their turns, highest priority first."""

    def __init__(self, *, single_active: bool = False) -> None:
        self._single_active = single_active
        self.members: dict[Consumer, int] = {}
        """All of them with their priorities, in order of arrival: whether there is any costs no call to find out."""
        self._rings: dict[int, deque[Consumer]] = {}  # those which may have room, by falling priority
        self._full: set[Consumer] = set()  # those that have answered 0 and not spoken since
        self._turn: deque[Consumer] = deque()  # the ring that `next` has looked at last
        self.active: Consumer | None = None  # of a queue with a single active consumer
        self._paused = False  # then all are as good as full, whatever room they have

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, consumer: Consumer) -> bool:
        return consumer in self.members

    def __iter__(self) -> "Any":
        return iter(self.members)

    def add(self, consumer: Consumer) -> None:
        """Let a consumer join. Raises ExclusiveUse if it or another wants to be alone."""
        taken = any(other.exclusive for other in self.members)
        if taken or (consumer.exclusive and (self.members or self._single_active)):
            raise ExclusiveUse(consumer.tag)
        self.members[consumer] = consumer.priority
        if self._single_active and self.active is not None:
            return
        self._activate(consumer)

    @property
    def ranked(self) -> bool:
        """Whether some of those that may be served go before others."""
        return len(self._rings) > 1

    def remove(self, consumer: Consumer) -> bool:
        """Let a consumer go; if it was the single active one, the next takes over. False if it was not here."""
        if self.members.pop(consumer, None) is None:
            return False
        self._full.discard(consumer)
        for priority, ring in list(self._rings.items()):
            if consumer in ring:
                ring.remove(consumer)
                if not ring:
                    del self._rings[priority]
        if consumer is self.active:
            self.active = None
            if self.members:
                self._activate(max(self.members, key=self.members.__getitem__))
        return True

    def wake(self, consumer: Consumer | None = None) -> None:
        """A consumer that was full may have room again (None: any of them may)."""
        if self._paused:
            return
        for awake in list(self._full) if consumer is None else [consumer]:
            if awake in self._full:
                self._full.remove(awake)
                self._ring(self.members[awake]).append(awake)

    def pause(self, paused: bool) -> None:
        """Nobody is to get anything, or everybody may again."""
        if paused == self._paused:
            return
        self._paused = paused
        if paused:
            self._full.update(consumer for ring in self._rings.values() for consumer in ring)
            self._rings = {}
            return
        for consumer in self.members:  # in the order in which they came: a set has none
            if consumer in self._full:
                self._full.remove(consumer)
                self._ring(consumer.priority).append(consumer)

    def next(self) -> tuple[Consumer, int] | None:
        """The consumer whose turn it is and its room; None if nobody has room. Its turn lasts until `served`."""
        for ring in self._rings.values():
            while ring:
                consumer = ring[0]
                room = consumer.room()
                if room > 0:
                    self._turn = ring
                    return consumer, room
                ring.popleft()
                self._full.add(consumer)
        return None

    def served(self) -> None:
        """The consumer that `next` named has got something: its turn is over."""
        if len(self._turn) > 1:
            self._turn.rotate(-1)

    @property
    def width(self) -> int:
        """How many consumers share with the one that `next` named, itself included (full ones may be among them)."""
        return len(self._turn)

    def share(self, at_hand: int) -> int:
        """How many of the messages at hand each consumer of this ring should get in this round."""
        width = len(self._turn)
        if width <= 1:
            return at_hand
        return 1 if at_hand <= DEALT_SINGLY_MAX else -(-at_hand // width)

    def _activate(self, consumer: Consumer) -> None:
        if self._single_active:
            self.active = consumer
        if self._paused:
            self._full.add(consumer)
        else:
            self._ring(consumer.priority).append(consumer)

    def _ring(self, priority: int) -> deque[Consumer]:
        ring = self._rings.get(priority)
        if ring is None:
            ring = self._rings[priority] = deque()
            self._rings = dict(sorted(self._rings.items(), reverse=True))
        return ring
