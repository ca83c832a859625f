"""One client of the AMQP door, from its first byte to its last: a reader and a writer around a `ServerConnection`.

Decides what becomes of each event of the connection, where errors are turned into closes (here and nowhere else), and
that whatever the client held is given back at the end. It must not know bytes or queues. The rules:

1. Between a read and the outboxes nobody waits, unless the client asks for something slow.
2. What is slow is done in the reader, one after the other: a client's own order is kept.
3. However a session ends, its channels and its client are closed in the vhost.
"""

import logging
import math
from typing import TYPE_CHECKING

import trio

from broker.amqp.channel import Channel
from broker.amqp.connection import ChannelEvent, ServerConnection
from broker.amqp.errors import AmqpException, ChannelException, ConnectionException
from broker.amqp.requests import CloseRequest, Ended, Failed, Login, NewSecret, Open, OpenChannel, Request
from broker.server.door import Door
from broker.server.overdue import overdue
from broker.server.presence import SessionPresence
from broker.server.reader import Reader
from broker.server.verbs import Verbs
from broker.server.writer import Writer
from broker.vhosts.logins import LoginRefused
from broker.wire.basic_methods import BasicAck, BasicPublish
from broker.wire.events import Acks, Medley, Oversize, Publish
from broker.wire.malformed import Malformed
from broker.wire.method_fields import Method
from broker.wire.methods import ChannelClose, ConnectionOpen
from broker.world.network import Stream

if TYPE_CHECKING:
    from broker.vhosts.client import Client, User

log = logging.getLogger("warren.amqp")

FAREWELL_TIMEOUT_S = 10.0
"""How long a client may take to answer connection.close."""
FINISH_TIMEOUT_S = 1.0
"""How long a client may take to agree that nothing more follows."""
REFUSED_LINGER_S = 3.0
"""How long a client that was refused without a word may keep its socket, as with RabbitMQ."""
CLEANUP_TIMEOUT_S = 30.0
SHUT_CLEANUP_TIMEOUT_S = 0.3
EVENTS_PER_LOOK = 64
TURN_S_MAX = 0.02
"""After so much time on what one client sent at once the others have their turn: that may be thousands of answers."""


class Session:
    """One client connection: `run` serves it; any other task may close it or look at its facts."""

    def __init__(self, stream: Stream, door: Door, local_address: str) -> None:
        self.name = f"{stream.peer_address} -> {local_address}"
        self.connected_at_ms = door.clock.stamp_ms()
        self.security = stream.security
        mechanisms = door.hall.logins.mechanisms(stream.security)
        self.connection = ServerConnection(
            door.hall.server_properties, door.limits, self._has_output, mechanisms, door.traffic
        )
        self.writer = Writer(stream, self.connection, self.hang_up)
        self.reader = Reader(stream, self.hang_up)
        self.user: User | None = None
        self.client: Client | None = None
        self._door = door
        self._stream = stream
        self._verbs: Verbs | None = None
        self._presence: SessionPresence | None = None
        self._scope = trio.CancelScope(deadline=trio.current_time() + door.handshake_timeout_s)
        self._nursery: trio.Nursery | None = None
        self._ended = False
        self._forced = False
        self._acting = False
        """Whether it does something slow: a channel that is closed meanwhile would come back to life."""
        self._look_at = 0.0
        self._waits = False
        self._is_current = True
        self.is_blocked = False
        """Whether the client was told that its publishes wait."""

        self._left_behind: tuple[Verbs, Client] | None = None
        """Of a client that has gone, until everything is given back."""

    # Its life

    async def run(self) -> None:
        """Serve the client to the end, whatever that is."""
        log.info("event=connection_accepted connection=%r", self.name)
        self._door.sessions.add(self)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self.writer.run)
                try:
                    with self._scope:
                        await self._read()
                finally:
                    self._nursery = None  # nobody looks ahead any more: it may close before this task goes on
                await self._clean_up()
                await self.writer.drained()  # it gives up clients that do not read
                if self._forced:
                    with trio.move_on_after(FAREWELL_TIMEOUT_S):
                        await self._hear_farewell()
                with trio.move_on_after(FINISH_TIMEOUT_S):
                    await self._stream.finish()
                nursery.cancel_scope.cancel()
        finally:
            self._door.sessions.discard(self)
            await self._clean_up()
            self._stream.close_now()
            log.info("event=connection_closed connection=%r state=%s", self.name, self.connection.state)

    async def _read(self) -> None:
        """Take what comes until nothing more will."""
        while not self._ended:
            data = await self.reader.receive()
            if not data:
                return
            await self._take(data)
            self.connection.excuse(trio.current_time())

    async def _publish_later(self, channel: Channel, event: Publish | Medley) -> None:
        """Nothing more is read before this has gone through. The client is told at its first publish that has to wait
        for the gate, as with RabbitMQ."""
        self._waits = True
        self.tell_blocked()
        await self._door.passage()
        self._is_current = True
        self._waits = False
        if channel.state == "open" and self._verbs is not None:
            self._verbs.publish(channel, event)

    async def _hear_farewell(self) -> None:
        """A client that was told to go may still say that it heard so."""
        while self.connection.state == "closing" and (data := await self.reader.receive()):
            for _ in self.connection.feed(data, trio.current_time()):
                pass  # only connection.close-ok counts

    async def _take(self, data: bytes) -> None:
        """One turn; several if the client asks for something slow."""
        turn, events, told_apart = self._door.turn, 0, 0
        self.reader.busy_since = now = trio.current_time()
        self._is_current = self._door.hall.declarations.is_current()
        turn.begin()
        try:
            for channel, event in self.connection.feed(data, now):
                events += 1
                if not events % EVENTS_PER_LOOK:
                    now = await self._let_others(now)
                if isinstance(event, Medley):
                    told_apart += len(event.order)
                try:
                    if self._take_at_once(channel, event):
                        continue
                    turn.end()
                    self._acting = True
                    await self._act(channel, event)
                except AmqpException as error:
                    turn.end()
                    await self._refuse(channel, event, error)
                except Malformed as error:  # in what is looked at only where it is needed: header tables
                    turn.end()
                    await self._fail(ConnectionException(error.code, error.why), _cause(event))
                self._acting = False
                turn.begin()
        except Exception as bug:  # it is ours, not the client's: this session ends, the node does not
            log.exception("event=internal_error connection=%r", self.name)
            turn.end()
            await self._fail(ConnectionException(541, type(bug).__name__), None)
        finally:
            turn.end()
        self.reader.expect(len(data), events + told_apart)

    async def _let_others(self, since: float) -> float:
        """Between two events: end the turn for a moment if it began long ago; when the one that is on began."""
        if trio.current_time() - since < TURN_S_MAX:
            return since
        self._door.turn.end()
        self._acting = True
        await trio.lowlevel.checkpoint()
        self._acting = False
        self._door.turn.begin()
        return trio.current_time()

    def _take_at_once(self, channel: Channel | None, event: ChannelEvent | Request) -> bool:
        """Do what must be fast; whether it was such."""
        if isinstance(event, (Publish, Medley)):
            if not (self._is_current and self._door.gate.is_open):
                return False
            assert channel is not None
            assert self._verbs is not None
            self._verbs.publish(channel, event)
        elif isinstance(event, Acks):
            assert channel is not None
            assert self._verbs is not None
            self._verbs.acknowledge(channel, event.first_tag, event.last_tag, event.multiple)
        else:
            return False
        return True

    # What clients ask

    async def _act(self, channel: Channel | None, event: ChannelEvent | Request) -> None:
        if channel is None:
            assert isinstance(event, Request)
            await self._act_on_connection(event)
            return
        assert self._verbs is not None
        if isinstance(event, Publish | Medley):
            await self._publish_later(channel, event)
        elif isinstance(event, Oversize):
            limit = self._door.limits.message_bytes_max
            raise ChannelException(406, f"message size {event.size} is larger than configured max size {limit}")
        elif isinstance(event, ChannelClose):
            await self._release(channel, self._verbs)
            self.connection.accept_channel_close(channel)
        elif isinstance(event, Method):
            await self._verbs.perform(channel, event)

    async def _act_on_connection(self, request: Request) -> None:
        match request:
            case Login():
                self._log_in(request)
            case Open():
                await self._open(request.virtual_host)
            case OpenChannel():
                await self._open_channel(request.number)
            case NewSecret():  # passwords do not expire here, so there is nothing to renew
                self.connection.accept_secret()
            case CloseRequest():
                await self._clean_up()
                self._end(self.connection.accept_close())
            case Failed():
                await self._failed(request.error, deaf=request.deaf)
            case Ended():
                self._end(request)

    def _log_in(self, login: Login) -> None:
        peer_host = self._stream.peer_address.rpartition(":")[0].strip("[]")
        try:
            self.user = self._door.hall.logins.log_in(login, peer_host, self.security)
        except LoginRefused as refused:
            why = str(refused)
            log.warning("event=login_refused connection=%r mechanism=%s why=%r", self.name, login.mechanism, why)
            ended = self.connection.refuse_login()
            if ended is not None:
                self._end(ended)
            else:
                self._expect_end(REFUSED_LINGER_S)
        else:
            self.connection.accept_login()

    async def _open(self, name: str) -> None:
        door = self._door
        assert self.user is not None
        await door.hall.client_limits.check_connection(self.user.name, name)
        # A later client from the same port is another owner of exclusive queues.
        serial = door.next_serial()
        vhost, self.client = door.hall.open_vhost(self.user, name, f"{self.name} ({serial})")
        self._verbs = Verbs(self.connection, vhost, self.client, door.hall.declarations, door.chance)
        self._presence = SessionPresence(self, self.client, vhost, serial)
        door.hall.roster.enter(self._presence)
        self.connection.accept_open()
        self._scope.deadline = math.inf
        log.info("event=connection_opened connection=%r user=%r vhost=%r", self.name, self.user.name, name)

    async def _open_channel(self, number: int) -> None:
        assert self.user is not None
        await self._door.hall.client_limits.check_channel(self.user.name)
        self.connection.accept_channel(number)

    # What goes wrong

    async def _refuse(self, channel: Channel | None, event: ChannelEvent | Request, error: AmqpException) -> None:
        """The one place where an error becomes a close."""
        cause = _cause(event)
        # Whoever raised it: replies from 500 on are hard errors, which end the connection (AMQP 0-9-1 section 1.2).
        if channel is not None and isinstance(error, ChannelException) and error.code < 500:
            await self._refuse_channel(channel, error, cause)
        else:
            await self._fail(error, cause)

    async def _refuse_channel(
        self, channel: Channel, error: ChannelException, cause: type[Method] | None = None
    ) -> None:
        log.warning("event=channel_error connection=%r channel=%d why=%r", self.name, channel.number, error.text)
        if channel.state == "open":
            self.connection.fail_channel(channel, error, cause)
        if self._verbs is not None:
            await self._release(channel, self._verbs)

    async def _fail(self, error: AmqpException, cause: type[Method] | None) -> None:
        self.connection.fail(error, cause)
        await self._failed(error)

    async def _failed(self, error: AmqpException, *, deaf: bool = False) -> None:
        log.warning("event=connection_error connection=%r why=%r", self.name, error.text)
        self._expect_end(REFUSED_LINGER_S if deaf or self.connection.state == "closed" else FAREWELL_TIMEOUT_S)
        await self._clean_up()

    # How it ends

    def force_close(self, why: str) -> None:
        """Tell the client to go (320), and see to it that it does."""
        if self.connection.state == "running":
            self.connection.fail(ConnectionException(320, why))
            self._forced = True
            self.hang_up()  # what it holds is given back at once, whatever it is busy with
        elif self.connection.state not in ("closing", "closed"):
            self.hang_up()

    def hang_up(self) -> None:
        """Listen no more, and close without another word."""
        self._scope.cancel()

    def _end(self, ended: Ended) -> None:
        if ended.linger_s:
            self._expect_end(ended.linger_s)
        else:
            self._ended = True

    def _expect_end(self, within_s: float) -> None:
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + within_s)

    async def _clean_up(self) -> None:
        """Give everything back; once more if it was cut short, as by a writer that gives up. There is little time if
        the door is shut, perhaps since the life ends: then nobody may be left who would take it."""
        if self._presence is not None:
            self._door.hall.roster.leave(self._presence)
        if self._verbs is not None and self.client is not None:
            self._left_behind = self._verbs, self.client
        self._verbs = self.client = None
        if self._left_behind is None:
            return
        verbs, client = self._left_behind
        is_shut = trio.current_effective_deadline() == -math.inf
        within_s = SHUT_CLEANUP_TIMEOUT_S if is_shut else CLEANUP_TIMEOUT_S
        with trio.CancelScope(shield=is_shut, deadline=trio.current_time() + within_s) as scope:
            for channel in tuple(self.connection.channels.values()):
                await self._release(channel, verbs)
            try:
                await self._door.hall.close_client(client)
            except AmqpException as error:
                log.warning("event=cleanup_failed connection=%r why=%r", self.name, error.text)
        if not scope.cancelled_caught:
            self._left_behind = None

    async def _release(self, channel: Channel, verbs: Verbs) -> None:
        """Give back what a channel held; a queue that cannot be reached has got it back already."""
        try:
            await verbs.close_channel(channel)
        except AmqpException as error:
            log.warning("event=release_failed connection=%r why=%r", self.name, error.text)

    # What others see to

    def _has_output(self) -> None:
        self._door.turn.has_output(self.writer)

    def tell_blocked(self) -> None:
        """Tell a client that has to wait why, once, and when there is no reason any more."""
        words = self._door.gate.words
        if self.is_blocked and not words:
            self.is_blocked = False
            self.connection.unblock()
        elif self._waits and words and not self.is_blocked:
            self.is_blocked = True
            self.connection.block(words)

    def beat(self, now: float) -> None:
        """See `heartbeats.Pulse`."""
        if not self.reader.waiting:
            self.connection.excuse(now)
            if self._nursery is not None:
                self.reader.look_ahead(now, self._nursery)
        if not self.connection.tick(now):
            log.warning("event=heartbeat_missed connection=%r", self.name)
            self.hang_up()
        if now >= self._look_at and not self._acting and self._nursery is not None:
            self._look_at = now + self._door.look_every_s
            for channel, error in overdue(self.connection.channels.values(), now, self._door.consumer_timeout_ms):
                self._nursery.start_soon(self._refuse_channel, channel, error)


def _cause(event: ChannelEvent | Request) -> type[Method] | None:
    """The method that an error is about."""
    if isinstance(event, Method):
        return type(event)
    if isinstance(event, (Publish, Medley, Oversize)):
        return BasicPublish
    if isinstance(event, Open):
        return ConnectionOpen
    return BasicAck if isinstance(event, Acks) else None
