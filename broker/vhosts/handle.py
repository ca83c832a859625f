"""One queue as this node sees it, wherever its master is.

Decides which side serves (a master here, or one elsewhere) and what happens to this node's publishers and consumers
when that changes: unanswered publications are sent again, consumers follow or are cancelled. It must not know how a
side does its work, nor what the tree looks like beyond this queue's record.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio

from broker.amqp.errors import ChannelException
from broker.cluster.records import RUNNING, Life, QueueRecord
from broker.queues.consumers import ExclusiveUse
from broker.vhosts.asking import RETRY_S, Asking, Moved
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
    from broker.vhosts.settles import History
    from broker.vhosts.switchboard import Switchboard


class Handle(Asking):
    """Stable for the life of the queue id; channels, routes and the catalogue point to it."""

    is_queue = True

    def __init__(self, record: QueueRecord, switchboard: "Switchboard", spawn: Callable[..., None]) -> None:
        super().__init__(record)
        self.publications = Publications(switchboard.origin)
        self.settles = Settles()
        self._switchboard = switchboard
        self._spawn = spawn
        self.holders = Holders()
        self.subscriptions = self.holders.subscriptions

    @property
    def delays(self) -> bool:
        """Whether this is the queue behind a delayed exchange."""
        return bool(self.record.delays)

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

    # ------------------------------------------------------------------ consuming

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
