"""Clients of other nodes at queues whose master is here.

Decides how a call or frame of another node becomes the verb of a local master, and gives back everything a node held
when the link from it ends. It must not know the clients: it sees numbers that their node chose.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from broker.queues.consumers import Consumer, ExclusiveUse
from broker.vhosts.fetching import get_opened
from broker.vhosts.subscription import Subscription
from broker.vhosts.totals import Totals
from broker.wire import queue_frames as frames
from broker.wire import records
from broker.wire.message import PassedRun, Run

if TYPE_CHECKING:
    from broker.vhosts.local import Local
    from broker.vhosts.switchboard import Answer, Switchboard


Question = Callable[["Local", dict[str, Any]], Awaitable[dict[str, Any] | None]]
"""What a handle asks its master; None if that ends before it is certain of the answer."""


class Guest(Consumer):
    """A consumer of another node: it may be given as much as its node granted."""

    def __init__(self, peer: str, local: "Local", fields: dict[str, Any]) -> None:
        self.tag = fields["tag"]
        self.ack_required = fields["ack_required"]
        self.exclusive = fields["exclusive"]
        self.priority = fields["priority"]
        self.arguments = {}
        self.peer = peer
        self.local = local
        self.number: int = fields["number"]
        self.granted = 0
        self.given = 0
        self._loan: int | None = None
        """The total of the newest loan; None while its channel has no limit."""
        self._has_asked = False

    def grant(self, total: int, *, loan: bool) -> None:
        """Its node grants it so much in total; a loan is to be repaid as far as it cannot be used now."""
        self.granted = max(total, self.given)
        self._loan = total if loan else None
        self._has_asked = False
        if loan:
            self.local.lend(self)
        else:
            self.local.wake(self)

    def repay(self) -> None:
        """Give back what it could not use of a loan."""
        if self._loan is not None and self.granted > self.given:
            self.granted = self.given
            self._tell_repaid(self._loan, wants=False)

    def _tell_repaid(self, loan: int, *, wants: bool) -> None:
        frame = frames.encode_triple(self.local.queue_id, self.number, 2 * loan + wants)
        self.local.switchboard.send(self.peer, frames.REPAID, frame)

    def room(self) -> int:
        """What its node granted and it has not got yet; nothing while the link to its node is congested."""
        room = self.granted - self.given
        if room <= 0 and self._loan is not None and not self._has_asked:
            self._has_asked = True
            self._tell_repaid(self._loan, wants=True)
        return 0 if room > 0 and self.local.switchboard.is_congested(self.peer, self) else room

    def wake(self) -> None:
        """It may have room again."""
        self.local.wake(self)

    def deliver(self, run: Run) -> None:
        """Send the run to its node."""
        self.given += len(run.contents)
        local = self.local
        record = records.encode_publish(local.queue_id, local.master.term, run)
        local.switchboard.send(self.peer, frames.DELIVER, frames.encode_deliver(self.number, record))


class Guests:
    """What other nodes hold at the masters of this node."""

    def __init__(self, switchboard: "Switchboard") -> None:
        self._switchboard = switchboard
        self.locals: dict[int, Local] = {}
        self.totals = Totals(self.locals.values)
        self._guests: dict[tuple[str, int], Guest] = {}
        self._fetchers: dict[tuple[str, int], Local] = {}
        self._held: dict[int, set[tuple[str, int]]] = {}
        """By queue id the keys of its guests and fetchers: nobody has to look at those of all queues for them."""
        self._attachments: dict[int, dict[str, int]] = {}
        """By queue id and node: what its calls have to name, and whose publications are taken."""
        self._origins: dict[str, str] = {}
        """By node the life that has attached last."""
        self.is_over: Callable[[str], bool] = lambda origin: False
        """Whether an origin is a life that is over: what was taken of it is remembered no more."""
        links = switchboard.links
        links.handle(frames.PUBLISH, self._receive_publish)
        links.handle(frames.LETTER, self._receive_letter)
        links.handle(frames.CREDIT, self._receive_credit)
        links.handle(frames.LOAN, self._receive_loan)
        links.handle(frames.SETTLE, self._receive_settle)
        self._questions: dict[str, Question] = {}
        for do in ("origin", "consume", "cancel", "get"):
            switchboard.answer(do, self._serve)
        self.answer("purge", purged)
        self.answer("counts", counts_of)

    def answer(self, do: str, question: "Question") -> None:
        """Let handles on other nodes ask the masters here this."""
        self._questions[do] = question
        self._switchboard.answer(do, self._serve)

    def leave(self, local: "Local") -> None:
        """This master is no more."""
        self.totals.leave(local)
        if self.locals.get(local.queue_id) is local:
            del self.locals[local.queue_id]
        for key in self._held.pop(local.queue_id, ()):
            self._guests.pop(key, None)
            self._fetchers.pop(key, None)
        self._attachments.pop(local.queue_id, None)

    def active_consumers(self) -> list[tuple[str, int]]:
        """The consumers that are the single active ones of queues here, as (their node, their number there)."""
        found = (local.queue.consumers.active for local in self.locals.values())
        return [
            (one.peer, one.number) if isinstance(one, Guest) else (self._switchboard.node, one.number)
            for one in found
            if isinstance(one, Guest | Subscription)
        ]

    def peer_gone(self, peer: str) -> None:
        """The link from a node ended, or its life: what its clients held returns to the queues."""
        self._origins.pop(peer, None)
        for key in [key for key in (*self._guests, *self._fetchers) if key[0] == peer]:
            self._release(key)
        for attached in self._attachments.values():
            attached.pop(peer, None)
        for local in self.locals.values():
            local.debts.cancel(peer)
            local.receipts.cancel(peer)

    def life_changed(self, node: str) -> None:
        """The record of that member has changed: of a life that was ended by the cluster nothing is taken any more,
        though it may not know it yet, and the link to it stand."""
        origin = self._origins.get(node)
        if origin is not None and self.is_over(origin):
            self.peer_gone(node)

    # ------------------------------------------------------------------ frames

    def _receive_publish(self, peer: str, payload: bytes, offset: int) -> None:
        record, _ = records.decode(payload)
        if isinstance(record, records.Publish):
            self._publish(peer, record, record.run)

    def _receive_letter(self, peer: str, payload: bytes, offset: int) -> None:
        place, start = frames.decode_letter(payload)
        record, _ = records.decode(payload, start)
        if isinstance(record, records.Publish):
            self._publish(peer, record, PassedRun(record.run, place))

    def _publish(self, peer: str, record: records.Publish, run: Run) -> None:
        local, attached = self.locals.get(record.queue_id), self._attachments.get(record.queue_id, ())
        if local is not None and local.master.term == record.term and peer in attached:
            local.publish_from(peer, run)

    def _receive_credit(self, peer: str, payload: bytes, offset: int) -> None:
        self._grant(peer, payload, loan=False)

    def _receive_loan(self, peer: str, payload: bytes, offset: int) -> None:
        self._grant(peer, payload, loan=True)

    def _grant(self, peer: str, payload: bytes, *, loan: bool) -> None:
        _, number, total = frames.decode_triple(payload)
        guest = self._guests.get((peer, number))
        if guest is not None:
            guest.grant(total, loan=loan)

    def _receive_settle(self, peer: str, payload: bytes, offset: int) -> None:
        _queue_id, number, what, first, last, answer = frames.decode_settle(payload)
        key = (peer, number)
        if what == frames.RELEASE:  # nothing of it is left at its node
            self._release(key)
            return
        guest, fetching = self._guests.get(key), self._fetchers.get(key)
        if guest is not None:
            guest.local.settle(guest, what, first, last)
        elif fetching is not None:
            fetching.settle(key, what, first, last)
        local = fetching if guest is None else guest.local
        if answer and local is not None:
            local.receipts.take(peer, what, answer, first, last)

    def _hold(self, key: tuple[str, int], local: "Local") -> None:
        self._held.setdefault(local.queue_id, set()).add(key)

    def _release(self, key: tuple[str, int]) -> None:
        """What it held returns, and an auto-delete queue may end."""
        guest, fetching = self._guests.pop(key, None), self._fetchers.pop(key, None)
        local = fetching if guest is None else guest.local
        if local is None:
            return
        self._held[local.queue_id].discard(key)
        if guest is not None:
            local.part_with(guest)
        else:
            local.settle(key, frames.RELEASE, 0, 0)

    # ------------------------------------------------------------------ calls

    async def _serve(self, peer: str, fields: dict[str, Any]) -> "Answer":
        local = self.locals.get(fields["queue"])
        if local is None or local.master.term != fields["term"]:
            return {"not_master": True}, b""
        is_over = fields["do"] == "origin" and self.is_over(fields["origin"])
        if is_over or not self._is_attached(peer, local, fields):
            return {"not_master": True}, b""
        match fields["do"]:
            case "origin":
                return self._attach(peer, local, fields), b""
            case "consume":
                return self._consume(peer, local, fields), b""
            case "cancel":
                guest = self._guests.get((peer, fields["number"]))
                if guest is not None:
                    local.cancel(guest)
                    if local.is_unused:
                        await local.delete()
                return {}, b""
            case "get":
                return await self._get(peer, local, fields)
            case do:
                return await self._questions[do](local, fields) or {"not_master": True}, b""

    def _attach(self, peer: str, local: "Local", fields: dict[str, Any]) -> dict[str, Any]:
        self._origins[peer] = fields["origin"]
        newest = {what: ranges[-1] for what, _, ranges in fields["settles"]}
        for what, history, ranges in fields["settles"]:
            local.settle_again(history, what, ranges)
            for each in ranges:  # all of a kind are safe when the last of them is
                local.receipts.take(peer, what, fields["settled"] if each is newest[what] else 0, *each)
        local.hearing.heard(peer)
        return {"highest": local.attach(peer, fields["origin"], fields["answered"]), "history": local.history}

    def _is_attached(self, peer: str, local: "Local", fields: dict[str, Any]) -> bool:
        """Whether this call is of that node's newest attachment, which may begin with it: calls of one turn are served
        in any order."""
        attachment = fields["attachment"]
        newest = self._attachments.get(local.queue_id, {}).get(peer, 0)
        if fields["do"] == "origin" and attachment > newest:
            self._attachments.setdefault(local.queue_id, {})[peer] = newest = attachment
            self._begin_anew(peer, local)
        return bool(attachment == newest)

    def _begin_anew(self, peer: str, local: "Local") -> None:
        """A node attaches again after a link broke: what it held here before, it has given up."""
        held = self._held.get(local.queue_id, set())
        for key in [key for key in held if key[0] == peer]:
            held.discard(key)
            guest = self._guests.pop(key, None)
            if guest is not None:
                local.cancel(guest)
            self._fetchers.pop(key, None)
            local.settle(key if guest is None else guest, frames.RELEASE, 0, 0)
        local.receipts.cancel(peer)

    def _consume(self, peer: str, local: "Local", fields: dict[str, Any]) -> dict[str, Any]:
        guest = Guest(peer, local, fields)
        try:
            local.consume(guest)
        except ExclusiveUse:
            return {"in_use": True}
        self._guests[peer, guest.number] = guest
        self._hold((peer, guest.number), local)
        return {}

    async def _get(self, peer: str, local: "Local", fields: dict[str, Any]) -> "Answer":
        key = (peer, fields["number"])
        run = await get_opened(local, key, ack_required=fields["ack_required"])
        if not self._is_attached(peer, local, fields):  # its node has gone while it waited, and will ask anew if at all
            local.settle(key, frames.RELEASE, 0, 0)
            return {"not_master": True}, b""
        if run is None:
            return {"empty" if self.locals.get(local.queue_id) is local else "not_master": True}, b""
        if fields["ack_required"]:
            self._fetchers[key] = local
            self._hold(key, local)
        record = records.encode_publish(local.queue_id, local.master.term, run)
        return {"messages_ready": local.queue.messages_ready}, record


async def purged(local: "Local", fields: dict[str, Any]) -> dict[str, Any] | None:
    """See `Local.purge`."""
    return await local.purge()


async def counts_of(local: "Local", fields: dict[str, Any]) -> dict[str, Any] | None:
    """What declaring and deleting have to know of a queue, without a look at its messages; asking counts as use
    (x-expires). Waits until it is certain that nobody else is master; None if somebody is by then."""
    await local.switchboard.leased()
    if local.ended:
        return None
    local.use()
    queue = local.queue
    return {
        "messages": queue.messages_ready + queue.messages_unacked,
        "messages_ready": queue.messages_ready,
        "consumers": len(queue.consumers),
    }
