"""The slow methods of a channel: what each of them asks of the virtual host, and its answer.

Decides arguments, defaults and replies as RabbitMQ 3.10 does. It must not know bytes or queues. Everything may raise
ChannelException or ConnectionException; the session turns them into closes.
"""

import base64
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Any

import trio

from broker.amqp.channel import Channel
from broker.amqp.confirms import ConfirmLine
from broker.amqp.connection import ServerConnection
from broker.amqp.errors import ChannelException, ConnectionException
from broker.vhosts.client import Client
from broker.vhosts.declarations import Declarations
from broker.vhosts.vhost import Vhost
from broker.wire import basic_methods as basic
from broker.wire import methods
from broker.wire.events import Medley, Publish
from broker.wire.method_fields import Method
from broker.wire.properties import REPLY_TO

if TYPE_CHECKING:
    from broker.amqp.unacked import Settled


class Verbs:
    """What one client does in its vhost."""

    def __init__(
        self,
        connection: ServerConnection,
        vhost: Vhost,
        client: Client,
        declarations: Declarations,
        chance: Random,
    ) -> None:
        self._connection = connection
        self._vhost = vhost
        self._client = client
        self._declarations = declarations
        self._chance = chance
        self._answers: dict[str, Callable[[list[Settled]], None]] = {
            "settle": vhost.settle,
            "requeue": vhost.requeue,
            "reject": vhost.reject,
        }

    async def perform(self, channel: Channel, method: Method) -> None:
        """Do what the method says and answer it."""
        self._vhost.publish_gathered()
        verb = _VERBS.get(type(method))
        if verb is None:
            raise ConnectionException(503, "unimplemented method")
        if type(method) in _NAMING:
            await self._declarations.current()
        answer = await verb(self, channel, method)
        if answer is not None and not getattr(method, "nowait", False):
            self._connection.send_method(channel, answer)

    async def close_channel(self, channel: Channel) -> None:
        """Whatever the channel held goes back."""
        self._vhost.publish_gathered()
        await self._vhost.close_channel(channel)
        channel.retire()

    # Publishing and answering: the hot verbs

    def publish(self, channel: Channel, event: Publish | Medley) -> None:
        """A run of publishes, or several."""
        if isinstance(event, Medley):
            self._publish_medley(channel, event)
        elif channel.transaction is None:
            self._vhost.publish(self._client, channel, event.payload, event.traits, event.contents)
        else:
            admitted = self._vhost.admit(self._client, channel, event.payload, event.traits, event.contents)
            channel.transaction.publish(Publish(event.channel, event.payload, *admitted))

    def _publish_medley(self, channel: Channel, medley: Medley) -> None:
        """Publishes of different methods; an error is that of the first that has one, and what stands before it is
        published."""
        if channel.transaction is not None or not self._vhost.publish_medley(self._client, channel, medley):
            for event in medley.publishes():
                self.publish(channel, event)

    def acknowledge(self, channel: Channel, first: int, last: int, multiple: bool) -> None:
        """A run of acknowledgements."""
        while True:
            before = channel.unacked_count
            settled = channel.acknowledge(first, last, multiple)
            first += before - channel.unacked_count  # counted before the queue fills the window again
            if settled:
                self._vhost.settle(settled)
            if multiple or first > last:
                break
        channel.wake_starved()

    def _refuse(self, channel: Channel, tag: int, *, multiple: bool, requeue: bool) -> None:
        verdict = "requeue" if requeue else "reject"
        settled = channel.acknowledge(tag, tag, multiple, verdict)
        if settled:
            self._answers[verdict](settled)
        channel.wake_starved()

    async def nack(self, channel: Channel, method: basic.BasicNack) -> None:
        """basic.nack."""
        self._refuse(channel, method.delivery_tag, multiple=method.multiple, requeue=method.requeue)

    async def reject(self, channel: Channel, method: basic.BasicReject) -> None:
        """basic.reject."""
        self._refuse(channel, method.delivery_tag, multiple=False, requeue=method.requeue)

    async def recover(self, channel: Channel, method: basic.BasicRecover | basic.BasicRecoverAsync) -> None:
        """basic.recover, and its older form without an answer; the answer goes out before what comes again."""
        if not method.requeue:
            raise ConnectionException(540, "requeue=false")
        if isinstance(method, basic.BasicRecover):
            self._connection.send_method(channel, basic.BasicRecoverOk())
        self._vhost.requeue(channel.recover_all())
        channel.wake_starved()

    # Consuming

    async def prefetch(self, channel: Channel, method: basic.BasicQos) -> None:
        """basic.qos; the answer goes out before what it makes room for."""
        if method.prefetch_size:
            raise ConnectionException(540, f"prefetch_size!=0 ({method.prefetch_size})")
        limit = channel.prefetch_count_global
        channel.prefetch(method)
        self._connection.send_method(channel, basic.BasicQosOk())
        if channel.prefetch_count_global != limit:  # it holds for those who consume already, too
            for subscription in self._vhost.consumers_of(channel):
                subscription.wake()
        channel.wake_starved()

    async def consume(self, channel: Channel, method: basic.BasicConsume) -> None:
        """basic.consume; the answer goes out before the first delivery."""
        queue = _queue(channel, method.queue)
        tag = method.consumer_tag or self._fresh_tag()
        if tag in channel.consumer_tags:
            raise ConnectionException(530, f"attempt to reuse consumer tag '{tag}'")

        def ready() -> None:
            if queue != REPLY_TO:
                channel.consumer_tags.add(tag)
            if not method.nowait:
                self._connection.send_method(channel, basic.BasicConsumeOk(tag))

        await self._vhost.consume(
            self._client,
            channel,
            queue,
            tag,
            no_ack=method.no_ack,
            exclusive=method.exclusive,
            arguments=method.arguments,
            ready=ready,
        )

    def _fresh_tag(self) -> str:
        return "amq.ctag-" + base64.urlsafe_b64encode(self._chance.randbytes(16)).decode().rstrip("=")

    async def cancel(self, channel: Channel, method: basic.BasicCancel) -> Method:
        """basic.cancel."""
        await self._vhost.cancel(channel, method.consumer_tag)
        channel.consumer_tags.discard(method.consumer_tag)
        return basic.BasicCancelOk(method.consumer_tag)

    async def get(self, channel: Channel, method: basic.BasicGet) -> Method | None:
        """basic.get."""
        got = await self._vhost.get(self._client, channel, _queue(channel, method.queue), no_ack=method.no_ack)
        if got is None:
            return basic.BasicGetEmpty()
        channel.deliver_got(got.run, got.holder, got.messages_ready)
        return None

    # Exchanges

    async def declare_exchange(self, channel: Channel, method: methods.ExchangeDeclare) -> Method:
        """exchange.declare."""
        await self._declarations.declare_exchange(
            self._client,
            _one_line(method.exchange),
            method.type,
            passive=method.passive,
            durable=method.durable,
            auto_delete=method.auto_delete,
            internal=method.internal,
            arguments=method.arguments,
        )
        return methods.ExchangeDeclareOk()

    async def delete_exchange(self, channel: Channel, method: methods.ExchangeDelete) -> Method:
        """exchange.delete."""
        await self._declarations.delete_exchange(self._client, _one_line(method.exchange), if_unused=method.if_unused)
        return methods.ExchangeDeleteOk()

    async def bind_exchange(self, channel: Channel, method: methods.ExchangeBind | methods.ExchangeUnbind) -> Method:
        """exchange.bind and exchange.unbind."""
        bind = isinstance(method, methods.ExchangeBind)
        await self._declarations.bind_exchange(
            self._client,
            _one_line(method.destination),
            _one_line(method.source),
            method.routing_key,
            method.arguments,
            bind=bind,
        )
        return methods.ExchangeBindOk() if bind else methods.ExchangeUnbindOk()

    # Queues

    async def declare_queue(self, channel: Channel, method: methods.QueueDeclare) -> Method:
        """queue.declare."""
        declared = await self._declarations.declare_queue(
            self._client,
            _one_line(method.queue),
            passive=method.passive,
            durable=method.durable,
            exclusive=method.exclusive,
            auto_delete=method.auto_delete,
            arguments=method.arguments,
        )
        channel.last_queue = declared.name
        return methods.QueueDeclareOk(declared.name, declared.message_count, declared.consumer_count)

    async def delete_queue(self, channel: Channel, method: methods.QueueDelete) -> None:
        """queue.delete; the answer goes out before the channel hears that its own consumers have ended."""
        channel.hold_cancels()
        try:
            count = await self._declarations.delete_queue(
                self._client,
                _one_line(_queue(channel, method.queue)),
                if_unused=method.if_unused,
                if_empty=method.if_empty,
            )
            if not method.nowait:
                self._connection.send_method(channel, methods.QueueDeleteOk(count))
        finally:
            channel.release_cancels()

    async def purge_queue(self, channel: Channel, method: methods.QueuePurge) -> Method:
        """queue.purge."""
        return methods.QueuePurgeOk(await self._declarations.purge_queue(self._client, _queue(channel, method.queue)))

    async def bind_queue(self, channel: Channel, method: methods.QueueBind | methods.QueueUnbind) -> Method:
        """queue.bind and queue.unbind; no queue and no key mean the one last declared, for both."""
        queue = _one_line(_queue(channel, method.queue))
        key = method.routing_key or ("" if method.queue else queue)
        bind = isinstance(method, methods.QueueBind)
        await self._declarations.bind_queue(
            self._client, queue, _one_line(method.exchange), key, method.arguments, bind=bind
        )
        return methods.QueueBindOk() if bind else methods.QueueUnbindOk()

    # Modes of the channel

    async def select_confirms(self, channel: Channel, method: Method) -> Method:
        """confirm.select."""
        channel.select_confirms()
        return basic.ConfirmSelectOk()

    async def select_transactions(self, channel: Channel, method: Method) -> Method:
        """tx.select."""
        channel.select_transactions()
        return basic.TxSelectOk()

    async def rollback(self, channel: Channel, method: Method) -> Method:
        """tx.rollback."""
        channel.rollback()
        return basic.TxRollbackOk()

    async def commit(self, channel: Channel, method: Method) -> Method:
        """tx.commit: publishes, then answers; done when every queue has its messages safe."""
        progress = trio.lowlevel.ParkingLot()
        line = ConfirmLine(channel.number, progress.unpark_all)
        transaction = channel.begin_commit(line)
        try:
            for event in transaction.publishes:
                self._vhost.publish(self._client, channel, event.payload, event.traits, event.contents)
            for verdict, runs in transaction.answers:
                self._answers[verdict]([run.settled for run in runs])
            channel.wake_starved()
            while not line.complete:
                await progress.park()
            if line.refused:
                raise ChannelException(406, "partial tx completion")
        finally:
            channel.end_commit()
            line.close()
        return basic.TxCommitOk()

    async def flow(self, channel: Channel, method: methods.ChannelFlow) -> Method:
        """channel.flow: a client may not stop its consumers this way."""
        if not method.active:
            raise ConnectionException(540, "active=false")
        return methods.ChannelFlowOk(active=True)

    async def request_access(self, channel: Channel, method: methods.AccessRequest) -> Method:
        """access.request: tickets are of the past."""
        return methods.AccessRequestOk(ticket=1)


_VERBS: dict[type[Method], Callable[[Verbs, Channel, Any], Awaitable[Method | None]]] = {
    basic.BasicNack: Verbs.nack,
    basic.BasicReject: Verbs.reject,
    basic.BasicRecover: Verbs.recover,
    basic.BasicRecoverAsync: Verbs.recover,
    basic.BasicQos: Verbs.prefetch,
    basic.BasicConsume: Verbs.consume,
    basic.BasicCancel: Verbs.cancel,
    basic.BasicGet: Verbs.get,
    methods.ExchangeDeclare: Verbs.declare_exchange,
    methods.ExchangeDelete: Verbs.delete_exchange,
    methods.ExchangeBind: Verbs.bind_exchange,
    methods.ExchangeUnbind: Verbs.bind_exchange,
    methods.QueueDeclare: Verbs.declare_queue,
    methods.QueueDelete: Verbs.delete_queue,
    methods.QueuePurge: Verbs.purge_queue,
    methods.QueueBind: Verbs.bind_queue,
    methods.QueueUnbind: Verbs.bind_queue,
    basic.ConfirmSelect: Verbs.select_confirms,
    basic.TxSelect: Verbs.select_transactions,
    basic.TxCommit: Verbs.commit,
    basic.TxRollback: Verbs.rollback,
    methods.ChannelFlow: Verbs.flow,
    methods.AccessRequest: Verbs.request_access,
}

_NAMING = frozenset(
    {
        basic.BasicConsume,
        basic.BasicGet,
        methods.ExchangeDeclare,
        methods.ExchangeDelete,
        methods.ExchangeBind,
        methods.ExchangeUnbind,
        methods.QueueDeclare,
        methods.QueueDelete,
        methods.QueuePurge,
        methods.QueueBind,
        methods.QueueUnbind,
    }
)
"""What says whether there is something of a name."""


def _queue(channel: Channel, name: str) -> str:
    """The queue meant: the one last declared on the channel if none is named."""
    if name:
        return name
    if not channel.last_queue:
        raise ChannelException(404, "no previously declared queue")
    return channel.last_queue


def _one_line(name: str) -> str:
    """Names lose line ends where things are declared, bound and deleted, as in RabbitMQ."""
    return name.replace("\r", "").replace("\n", "")
