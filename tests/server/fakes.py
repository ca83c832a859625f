"""A hall with one small vhost in memory, a stream that needs no socket, and a client to talk with."""

from collections import deque
from contextlib import asynccontextmanager
from random import Random

import trio
import trio.testing

from broker.amqp.client import ClientConnection
from broker.amqp.errors import ChannelException, ConnectionException
from broker.amqp.handshake import Limits
from broker.cluster.records import Owner
from broker.meters.meters import Meters
from broker.server.door import Door
from broker.server.gate import Gate
from broker.server.session import Session
from broker.vhosts.certificates import NameRule
from broker.vhosts.client import Client, User
from broker.vhosts.declarations import DeclaredQueue
from broker.vhosts.logins import LoginRefused, LoginRules, Logins
from broker.vhosts.subscription import Got
from broker.wire import methods
from broker.wire.events import Acks, Content, Delivered
from broker.wire.message import Run, split_address
from broker.world.network import Stream


class FakeStream(Stream):
    """One end of a pipe in memory; `prompt` ends can write without waiting."""

    def __init__(self, end, peer_address):
        self.end = end
        self.peer_address = peer_address

    async def send_all(self, data):
        await self.end.send_all(data)

    async def receive_some(self, max_bytes=None):
        return bytes(await self.end.receive_some(max_bytes))

    async def wait_send_all_might_not_block(self):
        await self.end.wait_send_all_might_not_block()

    def close_now(self):
        self.end.send_stream.close()
        self.end.receive_stream.close()


class FakeClock:
    def stamp_ms(self):
        return 1_700_000_000_000


class FakeSource:
    def __init__(self, queue, channel):
        self.queue = queue
        self.channel = channel


class FakeConsumer:
    def __init__(self, queue, channel, tag, no_ack):
        self.queue = queue
        self.channel = channel
        self.tag = tag.encode()
        self.source = None if no_ack else FakeSource(queue, channel)

    def wake(self):
        self.queue.pump()


class FakeQueue:
    """First in, first out; whoever consumes first gets everything while there is room."""

    def __init__(self, name):
        self.name = name
        self.ready = deque()
        self.consumers = []
        self.held = {}
        self.log = []
        self.next_position = 1

    def publish(self, run):
        run.first = self.next_position
        self.next_position += len(run.contents)
        self.ready.append(run)
        self.pump()

    def pump(self):
        while self.ready and self.consumers:
            consumer = self.consumers[0]
            channel = consumer.channel
            room = 1000
            if channel.outlet.outbox_bytes > 20_000:
                channel.outlet.starved.add(consumer)
                return
            if channel.prefetch_count_global:
                room = channel.prefetch_count_global - channel.outstanding
            if room <= 0:
                channel.starved[consumer] = None
                return
            run = self.ready.popleft()
            if len(run.contents) > room:
                self.ready.appendleft(run.cut(room, len(run.contents)))
                run = run.cut(0, room)
            if consumer.source is not None:
                self.held.setdefault(consumer.source, []).append(run)
                channel.outstanding += len(run.contents)
            channel.deliver(consumer.tag, run, consumer.source)


class FakeVhost:
    def __init__(self):
        self.queues = {}
        self.waiting = []  # pendings that nobody has answered
        self.hold_confirms = False
        self.closed_channels = []
        self.slow = trio.Event()

    def publish_gathered(self):
        pass

    def publish(self, client, channel, payload, traits, contents):
        exchange, key = split_address(payload[2:-1])
        if exchange == "bug":
            raise RuntimeError("a bug of ours")
        if exchange:
            raise ChannelException(404, f"no exchange '{exchange}' in vhost '/'")
        queue = self.queues.get(key)
        if queue is None and payload[-1] & 1:
            channel.returned(312, "NO_ROUTE", payload, contents)
        pending = channel.open_pending(len(contents))
        if pending is not None:
            pending.missing = 1 if queue else 0
        if queue is not None:
            queue.publish(Run(contents, payload[2:-1], traits))
            if pending is not None and self.hold_confirms:
                self.waiting.append(pending)
            elif pending is not None:
                pending.answer()

    def admit(self, client, channel, payload, traits, contents):
        return traits, contents

    def queue(self, name):
        if name not in self.queues:
            raise ChannelException(404, f"no queue '{name}' in vhost '/'")
        return self.queues[name]

    async def consume(self, client, channel, queue, tag, *, no_ack, exclusive, arguments, ready):
        if queue == "slow":
            await self.slow.wait()
        found = self.queue(queue)
        ready()
        found.consumers.append(FakeConsumer(found, channel, tag, no_ack))
        found.pump()

    async def cancel(self, channel, tag):
        for queue in self.queues.values():
            queue.consumers = [one for one in queue.consumers if (one.channel, one.tag) != (channel, tag.encode())]

    def consumers_of(self, channel):
        return [one for queue in self.queues.values() for one in queue.consumers if one.channel is channel]

    async def get(self, client, channel, queue, *, no_ack):
        found = self.queue(queue)
        if not found.ready:
            return None
        run = found.ready.popleft()
        if len(run.contents) > 1:
            found.ready.appendleft(run.cut(1, len(run.contents)))
        left = sum(len(other.contents) for other in found.ready)
        return Got(run.cut(0, 1), left, None if no_ack else FakeSource(found, channel))

    def _answer(self, verdict, settled):
        for source, first, last in settled:
            source.queue.log.append((verdict, first, last))
            source.channel.outstanding -= last - first + 1

    def settle(self, settled):
        self._answer("settle", settled)

    def requeue(self, settled):
        self._answer("requeue", settled)

    def reject(self, settled):
        self._answer("reject", settled)

    async def close_channel(self, channel):
        await trio.lowlevel.checkpoint()
        self.closed_channels.append(channel.number)
        for queue in self.queues.values():
            queue.consumers = [one for one in queue.consumers if one.channel is not channel]


class FakeDeclarations:
    def __init__(self, vhost):
        self.vhost = vhost
        self.asked = []

    def __getattr__(self, verb):
        async def perform(client, *arguments, **named):
            self.asked.append((verb, *arguments, named))
            return 3

        return perform

    def is_current(self):
        return True

    async def current(self):
        """It is."""

    async def declare_queue(self, client, name, **named):
        self.asked.append(("declare_queue", name, named))
        await trio.lowlevel.checkpoint()
        queue = self.vhost.queues.setdefault(name or "amq.gen-1", FakeQueue(name or "amq.gen-1"))
        return DeclaredQueue(queue.name, sum(len(run.contents) for run in queue.ready), len(queue.consumers))


class FakeSwitchboard:
    def begin_turn(self):
        """See `end_turn`."""

    def end_turn(self):
        """The fake queues leave nothing behind."""


class FakeRoster:
    def __init__(self):
        self.presences = {}

    def enter(self, presence):
        self.presences[presence.pid] = presence

    def leave(self, presence):
        self.presences.pop(presence.pid, None)


class NoLimits:
    async def check_connection(self, user, vhost):
        await trio.lowlevel.checkpoint()

    async def check_channel(self, user):
        await trio.lowlevel.checkpoint()


class FakeLogins(Logins):
    def by_password(self, name, password, peer_host):
        assert peer_host == "127.0.0.1"
        if (name, password) != ("guest", "guest"):
            raise LoginRefused(name)
        return User(name)

    def by_certificate(self, certificate, peer_host):
        if certificate is None:
            raise LoginRefused("no certificate")
        return User(NameRule().name_in(certificate))


class FakeHall:
    server_properties = {"product": "RabbitMQ", "capabilities": {"basic.nack": True}}  # noqa: RUF012 - nobody changes it

    def __init__(self):
        self.vhost = FakeVhost()
        self.declarations = FakeDeclarations(self.vhost)
        self.closed_clients = 0
        self.switchboard = FakeSwitchboard()
        self.roster = FakeRoster()
        self.client_limits = NoLimits()
        self.meters = Meters()
        self.logins = FakeLogins(lambda: None, LoginRules())

    def open_vhost(self, user, name, connection):
        if name != "/":
            raise ConnectionException(530, f"vhost {name} not found")
        return self.vhost, Client(user, name, Owner("n1", 1, connection), None)

    async def close_client(self, client):
        await trio.lowlevel.checkpoint()
        self.closed_clients += 1


class Talker:
    """A client over a stream."""

    patience_s = 5.0

    def __init__(self, stream, **settings):
        self.stream = stream
        self.connection = ClientConnection(settings.pop("user", "guest"), settings.pop("password", "guest"), **settings)
        self.heard = deque()
        self.at_end = False

    async def flush(self):
        if out := b"".join(self.connection.take_output()):
            await self.stream.send_all(out)

    async def listen(self):
        """The next event, with its channel; None at the end."""
        await self.flush()
        with trio.fail_after(self.patience_s):
            while not self.heard and not self.at_end:
                data = await self.stream.receive_some(65536)
                self.at_end = not data
                self.heard += self.connection.feed(data)
                await self.flush()
        return self.heard.popleft() if self.heard else None

    async def expect(self, kind):
        """The next event, which must be of this kind."""
        heard = await self.listen()
        assert heard is not None, f"the broker hung up instead of {kind.__name__}"
        assert isinstance(heard[1], kind), f"{heard[1]} instead of {kind.__name__}"
        return heard[1]

    async def open(self, channels=(1,)):
        for kind in (methods.ConnectionStart, methods.ConnectionTune, methods.ConnectionOpenOk):
            await self.expect(kind)
        for number in channels:
            await self.ask(number, methods.ChannelOpen(), methods.ChannelOpenOk)
        return self

    async def ask(self, channel, method, answer):
        self.connection.call(channel, method)
        return await self.expect(answer)

    async def deliveries(self, count):
        """So many messages, as (tag, content)."""
        found = []
        while len(found) < count:
            event = await self.expect(Delivered)
            found += [(event.first_tag + i, content) for i, content in enumerate(event.contents)]
        return found

    async def confirmed(self, upto):
        event = await self.expect(Acks)
        assert event.last_tag == upto
        return event

    async def content(self):
        return await self.expect(Content)

    async def ended(self):
        """Read to the end."""
        while await self.listen() is not None:
            pass


class World:
    """A door with a hall, and clients that come through it."""

    def __init__(self, nursery, **limits):
        self.hall = FakeHall()
        self.vhost = self.hall.vhost
        self.gate = Gate()
        self.door = Door(self.hall, self.gate, FakeClock(), Random(1), Limits(**limits))
        self.nursery = nursery
        self.sessions = []

    def connect(self, *, stream_type=FakeStream, **settings):
        """A client whose session is running; it has not said anything yet."""
        ours, theirs = trio.testing.memory_stream_pair()
        port = 50000 + len(self.sessions)
        session = Session(stream_type(ours, f"127.0.0.1:{port}"), self.door, "127.0.0.1:5672")
        self.sessions.append(session)
        self.nursery.start_soon(session.run)
        return Talker(FakeStream(theirs, "127.0.0.1:5672"), **settings)


@asynccontextmanager
async def world(**limits):
    async with trio.open_nursery() as nursery:
        yield World(nursery, **limits)
        nursery.cancel_scope.cancel()


async def declared(talker, name="q"):
    """The queue is there."""
    return await talker.ask(1, methods.QueueDeclare(queue=name), methods.QueueDeclareOk)
