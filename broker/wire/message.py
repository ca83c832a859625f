"""The one record that every room passes on: a run of messages.

Decides how messages travel inside a node: never alone, always as a *run* of messages that came one behind the other
over one channel with the same `basic.publish` method and the same traits. It must not know what a queue does with
them. A run's contents are the publisher's own bytes (content header frame and body frames, AMQP 0-9-1 section 2.3.5),
ready to go out again; nobody changes them in place.
"""

from functools import lru_cache
from typing import Any, Final, NamedTuple


class Traits:
    """What a queue may have to know of a message's properties (AMQP 0-9-1 section 1.8.1, class basic).

    Shared by all messages with equal property bytes, never changed after it was made. `asks_reply`: replies shall reach
    the publisher's channel. `sender_selected`: the headers name more routing keys, or cannot be read; it counts only
    until the message has been routed. `unknown_mode`: a delivery mode that is neither of the two (-1: it is one of
    them). `is_special`: a channel has to look at such messages before it takes them.
    """

    FIELDS: Final = (
        "asks_reply",
        "expiration_ms",
        "has_headers",
        "persistent",
        "priority",
        "sender_selected",
        "unknown_mode",
        "user_id",
    )
    __slots__ = (*FIELDS, "is_special")

    def __init__(
        self,
        *,
        persistent: bool = False,
        priority: int = 0,
        expiration_ms: int | None = None,
        has_headers: bool = False,
        user_id: str | None = None,
        asks_reply: bool = False,
        sender_selected: bool = False,
        unknown_mode: int = -1,
    ) -> None:
        self.persistent = persistent
        self.priority = priority
        self.expiration_ms = expiration_ms
        self.has_headers = has_headers
        self.user_id = user_id
        self.asks_reply = asks_reply
        self.sender_selected = sender_selected
        self.unknown_mode = unknown_mode
        self.is_special = (
            asks_reply or user_id is not None or unknown_mode >= 0 or (expiration_ms is not None and expiration_ms < 0)
        )

    def changed(self, **changes: Any) -> "Traits":
        """The same traits but for these."""
        return Traits(**{name: changes.get(name, getattr(self, name)) for name in self.FIELDS})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Traits):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.FIELDS)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.FIELDS))

    def __repr__(self) -> str:
        return "Traits(" + ", ".join(f"{name}={getattr(self, name)!r}" for name in self.FIELDS) + ")"


@lru_cache(maxsize=1024)
def living_at_most(traits: Traits, ttl_ms: int) -> Traits:
    """The same traits for messages that live at most so long."""
    own_ms = traits.expiration_ms
    return traits if own_ms is not None and own_ms <= ttl_ms else traits.changed(expiration_ms=ttl_ms)


@lru_cache(maxsize=1024)
def kept(traits: Traits) -> Traits:
    """The same traits for messages that are written to disk whatever their publisher asked for."""
    return traits if traits.persistent else traits.changed(persistent=True)


class Place(NamedTuple):
    """Where a message stands: its queue's id, the term that owns its position there, the position."""

    queue_id: int
    term: int
    position: int


class Run:
    """Consecutive messages of one queue's log: message i stands at position `first + i`.

    `address` is the exchange and the routing key as two AMQP short strings, as they stood in the publish method, and
    goes into the deliver method as it is. `stamp_ms` is wall time in milliseconds at which the master took the run;
    expiry counts from it. `origin` and `sequence` name the publisher's node and the dense number of the first message
    there (None and 0 for messages of channels without confirms). `returned` says how often consumers of a quorum queue
    gave these messages back. `count` is the number of messages. `stored`: the journal of this node has them already,
    whatever they and their queue are, as they were read from there. `bodies_bytes` is what `bodies_size_of` found, -1
    as long as nobody has asked.
    """

    __slots__ = (
        "_size_bytes",
        "address",
        "bodies_bytes",
        "contents",
        "count",
        "first",
        "origin",
        "redelivered",
        "returned",
        "sequence",
        "stamp_ms",
        "stored",
        "traits",
    )

    def __init__(
        self,
        contents: list[bytes],
        address: bytes,
        traits: Traits,
        *,
        first: int = 0,
        stamp_ms: int = 0,
        redelivered: bool = False,
        origin: str | None = None,
        sequence: int = 0,
        returned: int = 0,
    ) -> None:
        self.contents = contents
        self.count = len(contents)
        self.address = address
        self.traits = traits
        self.first = first
        self.stamp_ms = stamp_ms
        self.redelivered = redelivered
        self.origin = origin
        self.sequence = sequence
        self.returned = returned
        self.stored = False
        self._size_bytes = -1
        self.bodies_bytes = -1

    @property
    def last(self) -> int:
        """The position of the last message."""
        return self.first + self.count - 1

    @property
    def size_bytes(self) -> int:
        """The length of all contents; measured once, when somebody asks."""
        if self._size_bytes < 0:
            self._size_bytes = sum(map(len, self.contents))
        return self._size_bytes

    def cut(self, start: int, stop: int) -> "Run":
        """The messages with index start up to, not including, stop, as a run of their own."""
        run = Run(
            self.contents[start:stop],
            self.address,
            self.traits,
            first=self.first + start,
            stamp_ms=self.stamp_ms,
            redelivered=self.redelivered,
            origin=self.origin,
            sequence=self.sequence + start if self.origin is not None else 0,
            returned=self.returned,
        )
        run.stored = self.stored
        return run

    def afresh(self) -> "Run":
        """The same messages on their way to one more queue."""
        return Run(self.contents, self.address, self.traits)

    def copy(self, *, first: int) -> "Run":
        """The same messages for another queue: the contents are shared, the position is not."""
        return Run(self.contents, self.address, self.traits, first=first, stamp_ms=self.stamp_ms)

    def __repr__(self) -> str:
        flag = " redelivered" if self.redelivered else ""
        return f"<Run {self.first}..{self.last} {split_address(self.address)}{flag}>"


class PassedRun(Run):
    """Messages that another queue passes on: dead letters, and those whose delay is over."""

    __slots__ = ("place",)

    def __init__(self, run: Run, place: Place) -> None:
        super().__init__(
            run.contents,
            run.address,
            run.traits,
            first=run.first,
            redelivered=run.redelivered,
            origin=run.origin,
            sequence=run.sequence,
        )
        self.place = place
        """Of the first of these messages."""

    def plain(self, start: int, stop: int) -> Run:
        """The messages with index start up to, not including, stop, as those of a queue that has taken them."""
        return super().cut(start, stop)

    def cut(self, start: int, stop: int) -> "PassedRun":
        """See `Run.cut`."""
        place = self.place
        return PassedRun(super().cut(start, stop), place._replace(position=place.position + start))

    def afresh(self) -> "PassedRun":
        """See `Run.afresh`."""
        return PassedRun(super().afresh(), self.place)


SHORT_BYTES_MAX = 255
"""Of an AMQP short string."""


def make_address(exchange: str, routing_key: str) -> bytes:
    """Exchange and routing key as two AMQP short strings; what is longer, as only an argument can be, is cut."""
    name = exchange.encode("utf-8", "surrogateescape")[:SHORT_BYTES_MAX]
    key = routing_key.encode("utf-8", "surrogateescape")[:SHORT_BYTES_MAX]
    return bytes((len(name),)) + name + bytes((len(key),)) + key


@lru_cache(maxsize=4096)
def split_address(address: bytes) -> tuple[str, str]:
    """Exchange and routing key of an address; bytes that are not UTF-8 survive as surrogates."""
    end = 1 + address[0]
    exchange, routing_key = address[1:end], address[end + 1 : end + 1 + address[end]]
    return exchange.decode("utf-8", "surrogateescape"), routing_key.decode("utf-8", "surrogateescape")
