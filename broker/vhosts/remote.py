"""The side of a queue whose master is on another node: the same verbs, sent over the link.

Decides what goes to the master and what waits while there is none. It must not know why the master is where it is.
"""

from typing import TYPE_CHECKING, Any

from broker.vhosts.publications import Pending, Publications
from broker.wire import queue_frames as frames
from broker.wire import records
from broker.wire.message import PassedRun, Run

if TYPE_CHECKING:
    from broker.vhosts.settles import History, Settles
    from broker.vhosts.subscription import Holder, Subscription
    from broker.vhosts.switchboard import Switchboard

EARLY_BYTES_MAX = 1024 * 1024
"""So much may come without confirms before the master has answered: clients publish as soon as a queue is declared."""
WINDOW_MESSAGES = 2000
"""A remote consumer is granted at most so many messages ahead."""


class Grant:
    """How many messages the master may give one consumer in total, and how many it has given.

    Under a limit of the channel nothing is granted ahead, but `lent`: it counts as delivered to the channel until it is
    used or repaid, so that its consumers cannot get more than it may hold, and none of them keeps from the others what
    it cannot use. The next loan waits until the master `wants` one.
    """

    __slots__ = ("delivered", "granted", "is_limited", "lent", "wants")

    def __init__(self) -> None:
        self.delivered = 0
        self.granted = 0
        self.lent = 0
        self.wants = True
        self.is_limited = False

    def end_loan(self, subscription: "Subscription", count: int) -> None:
        """So many messages of it were delivered, or never will be."""
        ended = min(self.lent, count)
        self.lent -= ended
        subscription.reserve(-ended)


class Remote:
    """A master elsewhere, in one term. `ready` once it has said how far it has our publications."""

    def __init__(
        self,
        queue_id: int,
        peer: str,
        term: int,
        publications: Publications,
        settles: "Settles",
        switchboard: "Switchboard",
    ) -> None:
        self.queue_id = queue_id
        self.peer = peer
        self.term = term
        self.ready = False
        self.attachment = switchboard.number()
        """Names this attachment: what an earlier one asks late must not be done any more."""
        self.history: History = []
        """Whose positions are whose, as the master says."""
        self._publications = publications
        self._settles = settles
        self._switchboard = switchboard
        self._grants: dict[Subscription, Grant] = {}
        self._ended = False
        self._early: list[Run] = []
        self._early_bytes = 0

    # ------------------------------------------------------------------ publishing

    def publish(self, run: Run, pending: Pending | None) -> None:
        """Send a run to the master; without confirms little is kept, and only until the master has answered."""
        if pending is not None:
            if not self._publications.entries:
                self._switchboard.unanswered[self._publications] = None
            self._publications.add(run, pending).sent = self.ready
        if self.ready:
            self._send(run)
        elif pending is None and self._early_bytes < EARLY_BYTES_MAX:
            self._early.append(run)
            self._early_bytes += sum(map(len, run.contents))

    def _send(self, run: Run) -> None:
        run.first = self._publications.next_unanswered
        record = records.encode_publish(self.queue_id, self.term, run)
        if isinstance(run, PassedRun):
            self._switchboard.send(self.peer, frames.LETTER, frames.encode_letter(run.place, record))
        else:
            self._switchboard.send(self.peer, frames.PUBLISH, record)

    async def attach(self) -> bool:
        """Tell the master what was answered for under its predecessors, ask it how far it has our publications, and
        send it the rest in order (S6); False: not yet."""
        told = self._settles.number
        answer = await self._ask()
        if "highest" in answer and self._settles.number > told:  # clients have answered for more while it was asked
            answer = await self._ask(told)
        if "highest" not in answer:
            return False
        self.history = answer["history"]
        highest = answer["highest"]
        for entry in self._publications.entries:
            if entry.last_sequence > highest:
                run = entry.run.cut(0, entry.run.count)  # a copy here may hold the other, of when the master was here
                run.redelivered, entry.sent = entry.sent, True
                self._send(run)
        self.ready = True
        early, self._early = self._early, []
        for run in early:
            self._send(run)
        return True

    async def _ask(self, told: int = 0) -> dict[str, Any]:
        publications, settles = self._publications, self._settles
        settled = settles.number
        answer, _ = await self.call(
            "origin",
            origin=publications.origin,
            # what lies before the first unanswered one was answered, whether or not this master has ever seen it
            answered=publications.next_unanswered - 1,
            settles=list(settles.again(self.term, told)),
            settled=settled,
        )
        if "highest" in answer:
            settles.counted(self.term, settled)
        return answer

    # ------------------------------------------------------------------ consuming

    async def call(self, do: str, **fields: Any) -> tuple[dict[str, Any], bytes]:
        """One call to the master."""
        place = {"queue": self.queue_id, "term": self.term, "attachment": self.attachment}
        return await self._switchboard.call(self.peer, {"do": do, **place, **fields})

    def wake(self, subscription: "Subscription") -> None:
        """It may have room: let the master know how much."""
        if self._ended:
            return
        grant = self._grants.setdefault(subscription, Grant())
        if subscription.is_limited:
            self._lend(subscription, grant)
            return
        if grant.is_limited:  # not any more
            grant.is_limited = False
            grant.end_loan(subscription, grant.lent)
            grant.granted, grant.wants = grant.delivered, True
        wanted = grant.delivered + min(subscription.room(), WINDOW_MESSAGES)
        more = wanted - grant.granted
        if more > 0 and (grant.granted == grant.delivered or 2 * more >= wanted - grant.delivered):
            self._grant(subscription, grant, wanted, frames.CREDIT)

    def _lend(self, subscription: "Subscription", grant: Grant) -> None:
        if grant.lent or not grant.wants:
            return
        room = min(subscription.room(), WINDOW_MESSAGES)
        is_ahead = not grant.is_limited and grant.granted > grant.delivered  # that counts no more
        if room or is_ahead:
            grant.is_limited = True
            grant.lent, grant.wants = room, not room
            subscription.reserve(room)
            self._grant(subscription, grant, grant.delivered + room, frames.LOAN)

    def _grant(self, subscription: "Subscription", grant: Grant, total: int, kind: int) -> None:
        grant.granted = total
        self._switchboard.send(self.peer, kind, frames.encode_triple(self.queue_id, subscription.number, total))

    def repaid(self, subscription: "Subscription", total: int, *, wants: bool) -> None:
        """Nothing is left of the loan up to this total: others may use what was not."""
        grant = self._grants.get(subscription)
        if grant is None or not grant.is_limited or grant.granted != total:
            return
        grant.end_loan(subscription, grant.lent)
        grant.wants = wants
        subscription.channel.wake_starved()
        if wants:
            self.wake(subscription)

    def deliver(self, subscription: "Subscription", run: Run) -> None:
        """The master gave it a run."""
        grant = self._grants.setdefault(subscription, Grant())
        grant.delivered += len(run.contents)
        if grant.lent:
            grant.end_loan(subscription, len(run.contents))
        if not subscription.ack_required:
            self.took(run)
        subscription.deliver(run)
        if not subscription.is_limited:  # it may have room for more before it answers
            self.wake(subscription)

    def took(self, run: Run) -> None:
        """A client takes it without an answer: that is one, and no successor of the master gives it out again."""
        self._settles.add(frames.ACKNOWLEDGE, self.history, run.first, run.last)

    def forget(self, subscription: "Subscription") -> None:
        """It was cancelled."""
        grant = self._grants.pop(subscription, None)
        if grant is not None and grant.lent:
            grant.end_loan(subscription, grant.lent)
            subscription.channel.wake_starved()

    def end(self) -> None:
        """The master is gone, or asked anew: loans to it are over, and what one of them frees is lent to others."""
        self._ended = True
        for subscription in tuple(self._grants):
            self.forget(subscription)

    def settle(self, holder: "Holder", what: int, first: int, last: int) -> None:
        """Acknowledge, requeue or reject positions, or give back all that is held."""
        answer = self._settles.add(what, self.history, first, last)
        frame = frames.encode_settle(self.queue_id, holder.number, what, first, last, answer)
        self._switchboard.send(self.peer, frames.SETTLE, frame)
