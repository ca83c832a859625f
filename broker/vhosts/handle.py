"""One queue as this node sees it, wherever its master is.

Decides which side serves (a master here, or one elsewhere) and what happens to this node's publishers and consumers
when that changes: unanswered publications are sent again, consumers follow or are cancelled. It must not know how a
side does its work, nor what the tree looks like beyond this queue's record.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from broker.amqp.errors import ChannelException
from broker.cluster.records import RUNNING, UNAVAILABLE, Life, QueueRecord
from broker.queues.consumers import ExclusiveUse
from broker.vhosts.delivery_count import as_got
from broker.vhosts.fetching import get_opened
from broker.vhosts.guests import counts_of, purged
from broker.vhosts.holders import Holders
from broker.vhosts.local import Local
from broker.vhosts.publications import Pending, Publications
from broker.vhosts.remote import Remote
from broker.vhosts.settles import Settles
from broker.vhosts.subscription import Fetcher, Got, Holder, Subscription
from broker.vhosts.switchboard import PeerLost
from broker.wire import queue_frames as frames
from broker.wire import records
from broker.wire.message import Run
from policies.quorum import is_quorum

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.vhosts.guests import Question
    from broker.vhosts.settles import History
    from broker.vhosts.switchboard import Switchboard

RETRY_S = 0.005
MASTER_TIMEOUT_S = 60.0
"""How long an operation waits for a master while the queue's record says that there is one."""


class Moved(Exception):
    """The side that served a holder went away while it was asked: whatever it gave has returned."""


class Handle:
    """Stable for the life of the queue id; channels, routes and the catalogue point to it."""

    is_queue = True

    def __init__(self, record: QueueRecord, switchboard: "Switchboard", spawn: Callable[..., None]) -> None:
        self.record = record
        self.local: Local | None = None
        self.remote: Remote | None = None
        self.deleted = False
        self.publications = Publications(switchboard.origin)
        self.settles = Settles()
        self._switchboard = switchboard
        self._spawn = spawn
        self.holders = Holders()
        self.subscriptions = self.holders.subscriptions
        self._changed = trio.Event()

    @property
    def delays(self) -> bool:
        """Whether this is the queue behind a delayed exchange."""
        return bool(self.record.delays)

    @property
    def text(self) -> str:
        """As RabbitMQ's reply texts name a queue."""
        return f"queue '{self.record.name}' in vhost '{self.record.vhost}'"

    # ------------------------------------------------------------------ sides

    def serve_here(self, local: Local) -> None:
        """The master is on this node from now on."""
        self._leave()
        self.local, self.remote = local, None
        for what, history, ranges in self.settles.again():
            local.settle_again(history, what, ranges)
        self.settles.forget()
        self._follow()

    def serve_at(self, record: QueueRecord) -> None:
        """The master is elsewhere, or there is none."""
        life, remote = record.master, self.remote
        if record.state != RUNNING:
            self._leave()
            self.local = self.remote = None
            if not record.expects_master:
                self.publications.refuse_all()
            self._notify()
            return
        if remote is not None and remote.term == record.term and remote.peer == life.node:
            return
        self._attach(life, record.term)

    def link_changed(self) -> None:
        """The link to the master's node broke or came up: ask again how far it has our publications."""
        if self.remote is not None:
            self._attach(Life(self.remote.peer, 0), self.remote.term)

    def _attach(self, master: Life, term: int) -> None:
        self._leave()
        self.local = None
        self.remote = Remote(self.record.id, master.node, term, self.publications, self.settles, self._switchboard)
        self._spawn(self._attach_remote, self.remote)

    async def _attach_remote(self, remote: Remote) -> None:
        pause_s = RETRY_S
        while self.remote is remote and not self.deleted:
            try:
                if await remote.attach():
                    self._follow()
                    return
            except PeerLost:
                pass
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.1)

    def _leave(self) -> None:
        """What the old side gave out returns there by itself; here it is only remembered as gone, and as whose."""
        history: History = []
        if self.remote is not None:
            self.remote.end()
            history = self.remote.history
        elif self.local is not None:
            history = self.local.history
            self.settles.keep(history, self.local.unsafe)
        if is_quorum(self.record.arguments):
            self.settles.come_back(history, self.holders.held())
        self.holders.lose_master(history)
        for subscription in list(self.subscriptions.values()):
            if not subscription.survives_failover:
                self.holders.end(subscription)
                subscription.channel.cancel_consumer(subscription.tag)

    def _follow(self) -> None:
        for subscription in list(self.subscriptions.values()):
            if not subscription.alive:
                self._spawn(self._resubscribe, subscription)
        self._notify()

    async def _resubscribe(self, old: Subscription) -> None:
        if not self.holders.is_consuming(old):
            return
        new = old.again(self._switchboard.number())
        self.subscriptions[new.channel, new.tag] = new
        try:
            await self._subscribe(new)
        except Moved:
            return  # there is another one in its place, or it was cancelled
        except ChannelException:
            if self.holders.end(new):
                new.channel.cancel_consumer(new.tag)
            return
        if self.holders.is_consuming(new):
            self.wake(new)
        else:
            self.release(new)  # it was cancelled, or its channel closed, meanwhile

    def delete(self) -> None:
        """The queue is gone; its consumers are told, its publishers are answered."""
        self.deleted = True
        if self.remote is not None:
            self.remote.end()
        for subscription in self.holders.clear():
            subscription.channel.cancel_consumer(subscription.tag)
        self.local = self.remote = None
        self.publications.answer_all()
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # ------------------------------------------------------------------ publishing

    def publish(self, run: Run, pending: Pending | None) -> None:
        """Take a run from a channel of this node. The hot path."""
        if self.local is not None:
            self.local.publish(run, pending)
        elif self.remote is not None:
            self.remote.publish(run, pending)
        elif pending is not None:
            if self.record.expects_master:
                self._switchboard.unanswered[self.publications] = None
                self.publications.add(run, pending)
            else:
                pending.refuse(0, len(run.contents))
                pending.answer()

    # ------------------------------------------------------------------ consuming and calls

    async def _side(self) -> Local | Remote:
        """Whoever serves; waits for a master that is about to be there, and raises 404 if there is none to wait for."""
        with trio.move_on_after(MASTER_TIMEOUT_S):
            while True:
                if self.deleted:
                    raise ChannelException(404, f"no {self.text}")
                if self.local is not None:
                    return self.local
                if self.remote is not None and self.remote.ready:
                    return self.remote
                self.check_present()
                await self._changed.wait()
        raise self._absent()

    def check_present(self) -> None:
        """Raise 404 unless there is a master, or one is about to be there."""
        if not self.record.expects_master:
            raise self._absent()

    def _absent(self) -> ChannelException:
        """In RabbitMQ's words; and why, if none of its mirrors may take over."""
        record = self.record
        kind = "durable " if record.durable else ""
        why = f": {record.reason}" if record.state == UNAVAILABLE else ""
        text = f"home node 'rabbit@{record.master.node}' of {kind}{self.text} is down or inaccessible{why}"
        return ChannelException(404, text)

    async def _call(self, do: str, holder: Holder | None = None, **fields: Any) -> tuple[dict[str, Any], bytes] | Local:
        """The local side, or the answer of the remote one; asks again after a failover.

        Raises Moved if the failover ended the holder in whose name it asks. What a holder asked for is waited for even
        if its client has gone: it has to be given back.
        """
        while True:
            side = await self._side()
            answer: tuple[dict[str, Any], bytes] | Local | None = side if isinstance(side, Local) else None
            if isinstance(side, Remote) and (holder is None or holder.alive):  # it may have ended before this one came
                with suppress(PeerLost), trio.CancelScope(shield=holder is not None):
                    answer = await side.call(do, **fields)
                if side is not self.remote:
                    answer = None  # of a master that has been replaced meanwhile: it says nothing any more
            if holder is not None and not holder.alive:
                raise Moved
            if isinstance(answer, Local) or (answer is not None and "not_master" not in answer[0]):
                return answer
            await trio.sleep(RETRY_S)

    async def consume(self, subscription: Subscription, ready: Callable[[], None]) -> None:
        """Start a consumer; `ready` is called before its first delivery. Raises 403 and 404."""
        await self._subscribe(subscription)
        self.subscriptions[subscription.channel, subscription.tag] = subscription
        ready()
        self.wake(subscription)

    async def _subscribe(self, subscription: Subscription) -> None:
        answer = await self._call(
            "consume",
            holder=subscription,
            number=subscription.number,
            tag=subscription.tag,
            ack_required=subscription.ack_required,
            exclusive=subscription.exclusive,
            priority=subscription.priority,
        )
        in_use = ChannelException(403, f"{self.text} in exclusive use")
        if isinstance(answer, Local):
            try:
                answer.consume(subscription)
            except ExclusiveUse:
                raise in_use from None
        elif "in_use" in answer[0]:
            raise in_use
        self.holders.known(subscription)

    async def cancel(self, subscription: Subscription) -> None:
        """End a consumer; what it holds it may still answer."""
        self.holders.end(subscription)
        if not subscription.alive:
            return
        local = self.local
        if local is not None:
            local.cancel(subscription)
            if local.is_unused:
                await local.delete()
        elif self.remote is not None:
            self.remote.forget(subscription)
            try:
                await self._call("cancel", number=subscription.number)
            except ChannelException:
                if not self.deleted:  # with its last consumer: that ends consuming, too
                    raise
        if not subscription.outstanding:
            self.release(subscription)

    async def get(self, fetcher: Fetcher | None, number: int) -> Got | None:
        """One message, held by the fetcher if there is one. Raises Moved if that ended meanwhile."""
        while True:
            answer = await self._call("get", holder=fetcher, number=number, ack_required=fetcher is not None)
            if not isinstance(answer, Local):
                break
            run = await get_opened(answer, fetcher, ack_required=fetcher is not None)
            if run is not None:
                return Got(as_got(run, self.record.arguments), answer.queue.messages_ready, fetcher)
            if answer is self.local:
                return None
        fields, attachment = answer
        if "empty" in fields:
            return None
        run = records.decode_publish(attachment).run
        if fetcher is None and self.remote is not None:
            self.remote.took(run)
        return Got(as_got(run, self.record.arguments), fields["messages_ready"], fetcher)

    async def purge(self) -> int:
        """Drop what is ready; how many messages that were. No failover brings them back."""
        return int((await self.ask("purge", purged))["count"])

    async def counts(self) -> dict[str, Any]:
        """How many messages and consumers its master counts."""
        return await self.ask("counts", counts_of)

    async def ask(self, do: str, question: "Question", **fields: Any) -> dict[str, Any]:
        """The answer of the master; one that ends before it is certain of that leaves it to the next."""
        while True:
            answer = await self._call(do, **fields)
            if (told := await question(answer, fields) if isinstance(answer, Local) else answer[0]) is not None:
                return told
            await trio.sleep(RETRY_S)

    # ------------------------------------------------------------------ answers

    def wake(self, subscription: Subscription) -> None:
        """It may have room again."""
        if not subscription.alive:
            return
        if self.local is not None:
            self.local.wake(subscription)
        elif self.remote is not None:
            self.remote.wake(subscription)

    def settle(self, holder: Holder, what: int, first: int, last: int) -> None:
        """Acknowledge, requeue or reject. What a master that is gone gave has returned by itself; but its successor is
        told of answers that come before it is there."""
        if what != frames.RELEASE:
            holder.answered(last - first + 1)
        if not holder.alive:
            if self.local is None and (self.remote is None or not self.remote.ready):
                self.settles.add(what, holder.history, first, last)
            return
        if self.local is not None:
            self.local.settle(holder, what, first, last)
            if what == frames.REJECT:
                self.local.receipts.reject_here(first, last)
        elif self.remote is not None:
            self.remote.settle(holder, what, first, last)
        if isinstance(holder, Subscription) and what != frames.RELEASE:
            self._go_on(holder)

    def _go_on(self, subscription: Subscription) -> None:
        """It has answered for something: it may get more, or, if it was cancelled, that may have been the last."""
        if self.holders.is_consuming(subscription):
            if self.remote is None:
                return
            if subscription.is_limited:  # others of its channel may have waited for longer
                subscription.channel.starved.setdefault(subscription)
            else:
                self.remote.wake(subscription)
        elif not subscription.outstanding:
            self.release(subscription)

    def delivered(self, number: int, run: Run) -> None:
        """A master elsewhere gave a run to a consumer here; one that has gone gives it back."""
        subscription = self.holders.find(number)
        if subscription is not None and self.remote is not None:
            self.remote.deliver(subscription, run)

    def repaid(self, number: int, total: int, *, wants: bool) -> None:
        """A master elsewhere gave back what a channel with a limit had lent it for a consumer here."""
        subscription = self.holders.find(number)
        if subscription is not None and self.remote is not None:
            self.remote.repaid(subscription, total, wants=wants)

    def held_by(self, channel: object) -> list[Subscription]:
        """The consumers of a channel, and those it cancelled that may still hold messages."""
        return self.holders.of(channel)

    def release(self, holder: Holder) -> None:
        """Its channel is closed: what it held returns, and nothing of it is left."""
        self.holders.forget(holder)
        if isinstance(holder, Fetcher):
            self.settle(holder, frames.RELEASE, 0, 0)
            return
        if self.local is not None:
            self.local.part_with(holder)
        elif self.remote is not None:
            self.remote.forget(holder)
            self.settle(holder, frames.RELEASE, 0, 0)

    def fetcher(self, channel: "Channel | None" = None) -> Fetcher:
        """A new holder for what a channel gets."""
        fetcher = Fetcher(self, self._switchboard.number(), channel)
        self.holders.add_fetcher(fetcher)
        return fetcher
