"""What this node has asked of the leader and not yet been told.

Decides when a request is sent (again) and when its answer holds, so that it is carried out at most once. Rules:

1. Within an epoch a request may be sent again and again: the leader knows its number.
2. In another epoch it is sent only once everything of earlier epochs is applied here: had it been carried out, its
   transaction would have been seen.
3. The answer to what changed something is found in the log. An answer without a transaction rests on what the leader
   saw; it holds once that is applied here, and is forgotten if another epoch comes first.
4. An answer is given when its transaction is applied here and by everyone whose life goes on (DESIGN S15); a refusal
   needs no more than the first.

It must not know the way to the leader.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import trio

from broker.cluster.entries import epoch_of
from broker.cluster.refusal import Refused
from broker.metadata.state import RECENT_MAX, State, Transaction

SEND_AGAIN_S = 1.0


@dataclass(slots=True)
class Answer:
    """What the leader of `epoch` says without a transaction; it rests on everything up to `zxid`."""

    request_id: str
    epoch: int
    zxid: int
    answer: dict[str, Any] | None
    refused: tuple[str, str] | None

    def encode(self) -> bytes:
        """As it travels."""
        return json.dumps([self.request_id, self.epoch, self.zxid, self.answer, self.refused]).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Answer":
        """Raises ValueError."""
        request_id, epoch, zxid, answer, refused = json.loads(data)
        return cls(request_id, epoch, zxid, answer, tuple(refused) if refused else None)


@dataclass(slots=True)
class Asked:
    """A request as it travels: for the leader of `epoch` only. Numbers below `done_below` need no answer any more."""

    asker: str
    number: int
    done_below: int
    epoch: int
    request: dict[str, Any]

    @property
    def request_id(self) -> str:
        """Unique in the life of the cluster."""
        return f"{self.asker}-{self.number}"

    def encode(self) -> bytes:
        """As it travels."""
        return json.dumps([self.asker, self.number, self.done_below, self.epoch, self.request]).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Asked":
        """Raises ValueError."""
        asker, number, done_below, epoch, request = json.loads(data)
        return cls(asker, number, done_below, epoch, request)


@dataclass(slots=True, eq=False)
class Pending:
    """One request that somebody waits for."""

    number: int
    request: dict[str, Any]
    asked_at_zxid: int
    sent_epoch: int = 0
    sent_at: float = 0.0
    said: Answer | None = None
    zxid: int | None = None
    holds: bool = False
    done: trio.Event = field(default_factory=trio.Event)

    def result(self) -> dict[str, Any]:
        """The answer, once `done`; raises Refused."""
        assert self.said is not None
        if self.said.refused is not None:
            raise Refused(*self.said.refused)
        return self.said.answer or {}


class Requests:
    """All of them. `asker` is unique to this run of the process."""

    def __init__(self, asker: str) -> None:
        self._asker = asker
        self._next = 1
        self._pending: dict[str, Pending] = {}

    def add(self, request: dict[str, Any], applied: int) -> Pending:
        """Somebody asks; everything up to `applied` is applied here."""
        pending = Pending(self._next, request, applied)
        self._pending[f"{self._asker}-{self._next}"] = pending
        self._next += 1
        return pending

    def remove(self, pending: Pending) -> None:
        """Nobody waits any more."""
        self._pending.pop(f"{self._asker}-{pending.number}", None)

    def due(self, epoch: int, now: float) -> list[Asked]:
        """What is to be sent to the leader of this epoch, in which this node is up to date."""
        done_below = min((pending.number for pending in self._pending.values()), default=self._next)
        asked = []
        for pending in self._pending.values():
            answered = pending.said is not None
            if not answered and (pending.sent_epoch != epoch or now >= pending.sent_at + SEND_AGAIN_S):
                pending.sent_epoch, pending.sent_at = epoch, now
                asked.append(Asked(self._asker, pending.number, done_below, epoch, pending.request))
        return asked

    def send_again(self) -> None:
        """The way to the leader broke and stands again: what was on it is lost."""
        for pending in self._pending.values():
            pending.sent_at = float("-inf")

    def deadline(self) -> float:
        """When `due` may have something to send again; inf if nothing waits for an answer."""
        waiting = [pending.sent_at for pending in self._pending.values() if pending.said is None]
        return min(waiting, default=float("inf")) + SEND_AGAIN_S

    def answered(self, answer: Answer) -> None:
        """The leader has answered without a transaction."""
        pending = self._pending.get(answer.request_id)
        if pending is not None and pending.said is None and pending.sent_epoch == answer.epoch:
            pending.said, pending.zxid = answer, answer.zxid

    def epoch_begins(self, epoch: int) -> None:
        """The marker of an epoch is applied: what was promised before and has not come will not come."""
        for pending in self._pending.values():
            if pending.said is not None and not pending.holds and pending.said.epoch < epoch:
                pending.said = pending.zxid = None

    def applied(self, zxid: int, transaction: Transaction) -> None:
        """A transaction was applied here: perhaps one of ours."""
        pending = self._pending.get(transaction.request_id)
        if pending is not None:
            self._carried_out(pending, zxid, transaction.answer)

    def restored(self, state: State) -> None:
        """A snapshot took the place of transactions: find ours among those it remembers."""
        oldest = next(iter(state.recent.values()))[0] if len(state.recent) >= RECENT_MAX else 0
        for name, pending in self._pending.items():
            if name in state.recent:
                self._carried_out(pending, *state.recent[name])
            elif pending.sent_epoch and pending.asked_at_zxid < oldest and not pending.holds:
                lost = ("unknown", "this node was too far behind to tell whether the request was carried out")
                pending.said, pending.zxid = Answer(name, pending.sent_epoch, 0, None, lost), 0

    def settle(self, applied: int, stable: int) -> None:
        """Wake those whose answer holds."""
        for pending in self._pending.values():
            if pending.said is None or pending.zxid is None:
                continue
            pending.holds = pending.holds or pending.zxid <= applied
            if pending.holds and (pending.zxid <= stable or pending.said.refused is not None):
                pending.done.set()

    def _carried_out(self, pending: Pending, zxid: int, answer: dict[str, Any]) -> None:
        pending.said = Answer("", epoch_of(zxid), zxid, answer, None)
        pending.zxid = zxid
        pending.holds = True
