"""What becomes of messages that die: rejected, expired, given back too often, pushed out by a limit, or refused by one.

Decides the shape of a dead letter: the headers that tell its story, the key it goes by, and which queues would only
bury it again. It must not know where the dead letter exchange leads: the hall above routes and publishes it and says
when the source may forget it (RabbitMQ, "Dead Letter Exchanges").
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Literal

from broker.queues.page import Page, Piece
from broker.wire.content import assemble, body_of
from broker.wire.fields import Long, Timestamp
from broker.wire.malformed import Malformed
from broker.wire.message import Run, make_address, split_address
from broker.wire.properties import Properties, property_bytes, traits_of_properties

Reason = Literal["rejected", "expired", "maxlen", "delivery_limit", "delayed"]

_FRAME_MAX = 131072  # what most clients negotiate: then a delivery needs no new frames
COUNT_MAX = 2**63 - 1


class DeadLetter:
    """A piece that died, and where to it goes by the settings in force at its death.

    If it is a page its contents have to be loaded first: `loaded` makes letters with runs of it. Until
    `queue.settle_dead` names its positions it stays living in the log, so that no failure loses it. A run with `first`
    0 was never in the queue (overflow `reject-publish-dlx`) and needs no settling. One that `must_arrive` is
    kept and sent again if it leads nowhere, or a target has no room (dead letter strategy `at-least-once`).
    """

    __slots__ = ("exchange", "must_arrive", "piece", "reason", "routing_key")

    def __init__(
        self, reason: Reason, piece: Piece, exchange: str, routing_key: str | None, *, must_arrive: bool = False
    ) -> None:
        self.must_arrive = must_arrive
        self.reason = reason
        self.piece = piece
        self.exchange = exchange
        self.routing_key = routing_key

    @property
    def run(self) -> Run:
        """The messages; their contents must be in memory."""
        if isinstance(self.piece, Page):
            raise TypeError(f"{self.piece} has to be loaded first")
        return self.piece

    @property
    def page(self) -> Page | None:
        """The positions that have to be loaded; None if the contents are in memory."""
        return self.piece if isinstance(self.piece, Page) else None

    def loaded(self, runs: list[Run]) -> "list[DeadLetter]":
        """The same with contents, one letter for each run or part of a run, in order, that belongs to its page."""
        if not isinstance(self.piece, Page):
            return [self]
        return [self._of(run) for run in self.piece.filled(runs) if isinstance(run, Run)]

    def paged(self) -> "DeadLetter":
        """The same without contents."""
        return self._of(Page.of(self.piece)) if isinstance(self.piece, Run) else self

    def joined(self, other: "DeadLetter") -> "DeadLetter | None":
        """Both as one, if the other one follows at once, goes the same way, and neither is in memory."""
        piece, following = self.piece, other.piece
        if (
            not isinstance(piece, Page)
            or not isinstance(following, Page)
            or (self.reason, self.exchange, self.routing_key, self.must_arrive)
            != (other.reason, other.exchange, other.routing_key, other.must_arrive)
        ):
            return None
        both = piece.joined(following)
        return None if both is None else self._of(both)

    def part(self, first: int, last: int) -> "DeadLetter":
        """The messages of these positions."""
        return self._of(self.piece.cut(first - self.piece.first, last - self.piece.first + 1))

    def _of(self, piece: Piece) -> "DeadLetter":
        return DeadLetter(self.reason, piece, self.exchange, self.routing_key, must_arrive=self.must_arrive)

    def __repr__(self) -> str:
        return f"<DeadLetter {self.reason} {self.piece} to {self.exchange!r}>"


class Letter:
    """A part of a dead letter that travels together: the same headers, hence the same way.

    `run` is addressed to the dead letter exchange; its positions are still those of the source.
    """

    __slots__ = ("headers", "run")

    def __init__(self, run: Run, headers: dict[str, Any]) -> None:
        self.run = run
        self.headers = headers


def letters_of(dead: DeadLetter, queue: str, stamp_s: int) -> list[Letter]:
    """The messages of a dead letter of this queue as they are to be published, in order.

    `stamp_s` is the time of death in seconds since 1970.
    """
    address = dead.run.address
    if dead.routing_key is None:
        address = make_address(dead.exchange, split_address(address)[1])
    else:
        address = make_address(dead.exchange, dead.routing_key)
    letters = []
    start = 0
    for old, group in groupby(dead.run.contents, key=property_bytes):
        properties = _buried(old, dead, queue, stamp_s)
        new = properties.encode()
        contents = [assemble(int.from_bytes(c[1:3], "big"), new, body_of(c), _FRAME_MAX) for c in group]
        first = dead.run.first and dead.run.first + start
        run = Run(contents, address, traits_of_properties(new), first=first)
        letters.append(Letter(run, properties.headers or {}))
        start += len(contents)
    return letters


def without_cycles(queues: Iterable[str], headers: dict[str, Any], reason: Reason) -> list[str]:
    """Those of the queues that a letter may go to: none where it has died before with no rejection ever since."""
    deaths = headers.get("x-death")
    if reason == "rejected" or not isinstance(deaths, list):
        return list(queues)
    return [queue for queue in queues if not _is_cycle(queue, deaths)]


def _buried(old: bytes, dead: DeadLetter, queue: str, stamp_s: int) -> Properties:
    """The properties of a message with this death written into them."""
    try:
        properties = Properties.decode(old)
    except Malformed:  # headers are not looked at when a message comes in; its body still arrives
        properties = Properties()
    headers = dict(properties.headers or {})
    exchange, key = split_address(dead.run.address)
    death: dict[str, Any] = {
        "count": Long(1),
        "reason": dead.reason,
        "queue": queue,
        "time": Timestamp(stamp_s),
        "exchange": exchange,
        "routing-keys": [key, *_selected_keys(headers)],
    }
    if properties.expiration is not None:
        death["original-expiration"] = properties.expiration
        properties.expiration = None  # else it would expire again and again on its way
    if "x-death" not in headers:
        headers |= {
            "x-first-death-reason": dead.reason,
            "x-first-death-queue": queue,
            "x-first-death-exchange": exchange,
        }
    headers["x-death"] = _with_death(headers.get("x-death"), death)
    if dead.routing_key is not None:
        headers.pop("CC", None)
    properties.headers = headers
    return properties


def _with_death(deaths: Any, death: dict[str, Any]) -> list[Any]:
    """The story with one more death, which comes first; the others turn round, as with RabbitMQ.

    A repeat counts up, but keeps the time and the keys of its first occurrence. What is no list was put there by a
    client and is replaced.
    """
    if not isinstance(deaths, list):
        return [death]
    others = []
    for entry in _grouped(deaths):
        if all(entry.get(name) == death[name] for name in ("queue", "reason")):
            count = entry["count"]
            death = {**entry, "count": one_more(count if isinstance(count, int) else 1)}
        else:
            others.append(entry)
    return [death, *others, *(entry for entry in deaths if not isinstance(entry, dict))]


def one_more(count: int) -> Long:
    """What a header counts, one higher: a publisher may have written any number, and the field holds only so much."""
    return Long(min(count, COUNT_MAX - 1) + 1)


def _grouped(deaths: list[Any]) -> list[dict[str, Any]]:
    """One entry per queue and reason, the last first: RabbitMQ before 3.6 wrote one per death, uncounted."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in deaths:
        if isinstance(entry, dict):
            groups.setdefault(repr((entry.get("queue"), entry.get("reason"))), []).append(entry)
    return [{"count": Long(len(group)), **group[0]} for group in reversed(groups.values())]


def _selected_keys(headers: dict[str, Any]) -> list[str]:
    """The routing keys of CC; BCC is gone since the message was published."""
    keys = headers.get("CC")
    return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []


def _is_cycle(queue: str, deaths: list[Any]) -> bool:
    """Whether the letter has been in this queue, and nobody rejected it from there on."""
    for entry in deaths:
        if not isinstance(entry, dict) or entry.get("reason") == "rejected":
            return False
        if entry.get("queue") == queue:
            return True
    return False
