"""One virtual host: the short path from a publish to its queues, and what channels do with queues.

Decides how publishes that go the same way stay together; where that leads is remembered by the bytes of the publish
method until something changes. It must not know where queues have their masters, nor how the metadata is agreed upon.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from broker.amqp.channel import Channel
from broker.amqp.errors import AmqpException
from broker.amqp.unacked import Settled
from broker.vhosts.arguments import check_consumer_arguments
from broker.vhosts.asking import Moved
from broker.vhosts.client import Client
from broker.vhosts.crossroads import Crossroads, Route, Target
from broker.vhosts.examination import examined
from broker.vhosts.gathering import SHORT_RUN_MESSAGES, Gathering
from broker.vhosts.handle import Handle
from broker.vhosts.queue_types import check_get, check_prefetch, counted_as
from broker.vhosts.replies import Replies
from broker.vhosts.subscription import Fetcher, Got, Subscription
from broker.wire import queue_frames as frames
from broker.wire.content import body_of, make_content
from broker.wire.events import Medley
from broker.wire.message import Run, Traits
from broker.wire.properties import REPLY_TO, Properties, headers_of
from policies.quorum import is_quorum

if TYPE_CHECKING:
    from random import Random

    from broker.vhosts.switchboard import Switchboard

FRAME_MAX = 131072
"""Frames of a message whose headers had to be written anew: what most clients negotiate."""


class Vhost(Crossroads):
    """One vhost on this node. The catalogue keeps `graph` and `handles` in step with the tree."""

    def __init__(self, name: str, switchboard: "Switchboard", chance: "Random", replies: Replies) -> None:
        super().__init__(name, chance, replies)
        self._switchboard = switchboard
        self._gathered = Gathering(switchboard.touch, switchboard.wait_for_disk, switchboard.pause)
        self._fetchers: dict[tuple[Channel, Handle], Fetcher] = {}
        self._holders: dict[Channel, set[Handle]] = {}

    # ------------------------------------------------------------------ what there is

    def add_queue(self, handle: Handle) -> None:
        """A queue was declared."""
        name = handle.record.name
        if handle.record.delays:
            self._delays[name] = handle
        else:
            self.handles[name] = handle
            self.graph.add_queue(name)

    def remove_queue(self, handle: Handle) -> None:
        """A queue was deleted; another one may have its name by now."""
        name = handle.record.name
        if self._delays.get(name) is handle:
            del self._delays[name]
        if self.handles.get(name) is handle:
            del self.handles[name]
            self.graph.remove_queue(name)

    # ------------------------------------------------------------------ publishing: the hot path

    def publish(self, client: Client, channel: Channel, payload: bytes, traits: Traits, contents: list[bytes]) -> None:
        """Take a run of publishes with one method and equal traits. Raises 403, 404 and 540 for the channel."""
        if client.epoch != self.graph.epoch:
            client.routes.clear()
            client.epoch = self.graph.epoch
        route = client.routes.get(payload)
        if route is None:
            route = self.resolve(client, payload)
        if traits.is_special:
            traits, contents = examined(client.user, channel, self.replies, traits, contents)
        gathered = self._gathered
        if len(contents) <= SHORT_RUN_MESSAGES and route.queue is not None and not traits.sender_selected:
            if gathered.add(channel, route.queue, payload, traits, contents):
                return
            if gathered.channel is not None:
                gathered.publish()
                if gathered.add(channel, route.queue, payload, traits, contents):
                    return
        elif gathered.channel is not None:
            gathered.publish()
        if route.per_message or traits.sender_selected:
            self._publish_one_by_one(route, channel, payload, traits, contents)
        else:
            self._publish_to(route.handles, route, channel, payload, traits, contents)

    def publish_medley(self, client: Client, channel: Channel, medley: Medley) -> bool:
        """Take publishes of several methods at once, if each goes to one queue and nothing else has to be seen to;
        False if nothing was done."""
        traits, handles = medley.traits, list[Handle]()
        if traits.is_special or traits.sender_selected:
            return False
        if client.epoch != self.graph.epoch:
            client.routes.clear()
            client.epoch = self.graph.epoch
        for payload in medley.contents:
            route = client.routes.get(payload)
            if route is None:
                try:
                    route = self.resolve(client, payload)
                except AmqpException:  # an error of its own message, for which others are not to blame
                    return False
            if route.queue is None:
                return False
            handles.append(route.queue)
        gathered = self._gathered
        if gathered.add_medley(channel, medley, handles):
            return True
        gathered.publish()
        return gathered.add_medley(channel, medley, handles)

    def publish_gathered(self) -> None:
        """A client asks for something else than publishing: what it has published is where it belongs by then."""
        self._gathered.publish()

    def admit(
        self, client: Client, channel: Channel, payload: bytes, traits: Traits, contents: list[bytes]
    ) -> tuple[Traits, list[bytes]]:
        """The run as a transaction keeps it until it is published; raises now what `publish` would raise."""
        if client.epoch != self.graph.epoch or payload not in client.routes:
            self.resolve(client, payload)
        return examined(client.user, channel, self.replies, traits, contents)

    def _publish_to(
        self,
        handles: list[Target],
        route: Route,
        channel: Channel,
        payload: bytes,
        traits: Traits,
        contents: list[bytes],
        unread: list[bytes] | None = None,
    ) -> None:
        """`unread`: the contents with what no reader may see, for queues from which they are routed once more."""
        if route.mandatory and not any(handle.is_queue for handle in handles):
            channel.returned(312, "NO_ROUTE", payload, contents)
        count, flow = len(contents), channel.flow
        flow.received += count
        if handles:
            flow.routed += count * len(handles)
        else:
            flow.lost(count, mandatory=route.mandatory)
        pending = channel.open_pending(count)
        if pending is not None:
            pending.missing = len(handles)
            if not handles and not self._switchboard.lease_valid():
                self._switchboard.doubt(pending)
        for handle in handles:
            own = unread if unread is not None and handle.delays else contents
            handle.publish(Run(own, route.address, traits), pending)

    def _publish_one_by_one(
        self, route: Route, channel: Channel, payload: bytes, traits: Traits, contents: list[bytes]
    ) -> None:
        """Messages of which each may go another way: neighbours with the same way stay together."""
        way: list[Target] | None = None
        together: list[bytes] = []
        unread: list[bytes] = []
        for content in contents:
            headers = headers_of(content) if traits.has_headers else {}
            own = self._targets_for(route.exchange, route.key, headers, content)
            if way is not None and own != way:
                self._publish_to(way, route, channel, payload, traits, together, unread)
                together, unread = [], []
            way = own
            unread.append(content)
            together.append(_without_bcc(content) if "BCC" in headers else content)
        if way is not None:
            self._publish_to(way, route, channel, payload, traits, together, unread)

    # ------------------------------------------------------------------ consuming

    async def consume(
        self,
        client: Client,
        channel: Channel,
        queue: str,
        tag: str,
        *,
        no_ack: bool,
        exclusive: bool,
        arguments: dict[str, Any],
        ready: Callable[[], None],
    ) -> None:
        """basic.consume: `ready` puts consume-ok into the outbox, deliveries follow it."""
        if queue == REPLY_TO:
            self.replies.consume(channel, tag, no_ack=no_ack)
            ready()
            return
        client.access(self.name).check("read", "queue", queue)
        handle = self.handle(queue)
        client.check_exclusive(handle)
        check_consumer_arguments(handle.text, handle.record.arguments, arguments)
        check_prefetch(handle.text, handle.record.arguments, shared=channel.prefetch_count_global > 0)
        subscription = Subscription(
            handle,
            channel,
            tag,
            self._switchboard.number(),
            ack_required=not no_ack,
            exclusive=exclusive and not is_quorum(handle.record.arguments),  # there it means nothing (RabbitMQ)
            arguments=arguments,
            prefetch_count=channel.prefetch_count_new_consumers,
        )
        await handle.consume(subscription, ready)
        if channel.state == "open":
            self._note_holder(channel, handle)
        else:  # closed from our side meanwhile: nobody else would give it back
            handle.release(subscription)

    async def cancel(self, channel: Channel, tag: str) -> None:
        """basic.cancel; an unknown tag is no error."""
        if self.replies.cancel(channel, tag):
            return
        for handle in self._holders.get(channel, ()):
            subscription = handle.subscriptions.get((channel, tag))
            if subscription is not None:
                await handle.cancel(subscription)
                return

    def consumers_of(self, channel: Channel) -> list[Subscription]:
        """The consumers that a channel has now."""
        handles = self._holders.get(channel, set())
        found = (handle.subscriptions.get((channel, tag)) for tag in channel.consumer_tags for handle in handles)
        return [subscription for subscription in found if subscription is not None]

    async def get(self, client: Client, channel: Channel, queue: str, *, no_ack: bool) -> Got | None:
        """basic.get."""
        client.access(self.name).check("read", "queue", queue)
        handle = self.handle(queue)
        client.check_exclusive(handle)
        check_get(handle.text, handle.record.arguments)
        deliveries = channel.flow.deliveries(counted_as(handle.record.arguments))
        while True:
            fetcher = None if no_ack else self._fetcher(channel, handle)
            with suppress(Moved):
                got = await handle.get(fetcher, self._switchboard.number() if fetcher is None else fetcher.number)
                if channel.state == "open":
                    deliveries.got(None if got is None else got.run.redelivered, auto_ack=no_ack)
                    return got
            if channel.state != "open":  # closed from our side meanwhile: nothing is to be remembered of it
                if fetcher is not None:
                    handle.release(fetcher)
                await self.close_channel(channel)
                return None

    def _fetcher(self, channel: Channel, handle: Handle) -> Fetcher:
        fetcher = self._fetchers.get((channel, handle))
        if fetcher is None or not fetcher.alive:
            fetcher = self._fetchers[channel, handle] = handle.fetcher(channel)
            self._note_holder(channel, handle)
        return fetcher

    def _note_holder(self, channel: Channel, handle: Handle) -> None:
        """The channel has something of this queue; what it had of queues that are deleted is forgotten."""
        handles = self._holders.setdefault(channel, set())
        for gone in [each for each in handles if each.deleted]:
            handles.discard(gone)
            self._fetchers.pop((channel, gone), None)
        handles.add(handle)

    # ------------------------------------------------------------------ answers

    def settle(self, settled: list[Settled]) -> None:
        """basic.ack."""
        _answer(settled, frames.ACKNOWLEDGE)

    def requeue(self, settled: list[Settled]) -> None:
        """basic.nack, basic.reject and basic.recover with requeue."""
        _answer(settled, frames.REQUEUE)

    def reject(self, settled: list[Settled]) -> None:
        """basic.nack and basic.reject without requeue."""
        _answer(settled, frames.REJECT)

    async def close_channel(self, channel: Channel) -> None:
        """A channel is closed: its consumers end, what it held returns."""
        self.replies.close_channel(channel)
        for handle in self._holders.pop(channel, set()):
            for subscription in handle.held_by(channel):
                handle.release(subscription)
            fetcher = self._fetchers.pop((channel, handle), None)
            if fetcher is not None:
                handle.release(fetcher)


def _without_bcc(content: bytes) -> bytes:
    """The message as its readers may see it (RabbitMQ, "Sender-selected Distribution")."""
    properties = Properties.of(content)
    properties.headers = {name: value for name, value in (properties.headers or {}).items() if name != "BCC"}
    return make_content(int.from_bytes(content[1:3], "big"), properties, body_of(content), FRAME_MAX)


def _answer(settled: list[Settled], what: int) -> None:
    for source, first, last in settled if len(settled) == 1 else _joined(settled):
        assert isinstance(source, Subscription | Fetcher)  # this room made every source that channels hold
        if what == frames.ACKNOWLEDGE:
            source.deliveries.acknowledged += last - first + 1
        source.handle.settle(source, what, first, last)


def _joined(settled: list[Settled]) -> list[Settled]:
    """The same with neighbours in one piece: a queue finds the places of many messages in one sweep."""
    joined: list[Settled] = []
    for piece in settled:
        source, first, last = piece
        if joined and joined[-1][0] is source and joined[-1][2] + 1 == first:
            joined[-1] = (source, joined[-1][1], last)
        else:
            joined.append(piece)
    return joined
