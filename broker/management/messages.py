"""Messages by HTTP: one published, some fetched, and the test that both work.

Decides how a message looks in JSON and what becomes of those that were fetched: all are taken before the first goes
back, so that none comes twice. It must not know connections: whoever asks is a client of the vhost for a moment, with
the rights of one. Source: RabbitMQ 3.10, `rabbit_mgmt_wm_exchange_publish`, `rabbit_mgmt_wm_queue_get`.
"""

import base64
import struct
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from broker.amqp.channel import Channel, Starved
from broker.amqp.errors import AmqpException
from broker.cluster.arguments import from_json, to_plain
from broker.management.refusals import BadRequest, NotFound, of_channel
from broker.meters.meters import AMQP
from broker.vhosts import by_hand
from broker.vhosts.portrait import shown_properties
from broker.wire import queue_frames as frames
from broker.wire.content import assemble, body_of
from broker.wire.fields import Timestamp
from broker.wire.malformed import Malformed
from broker.wire.message import Run, make_address, split_address
from broker.wire.properties import REPLY_TO, Properties, traits_of_properties

if TYPE_CHECKING:
    from broker.management.visit import Visit
    from broker.vhosts.client import Client
    from broker.vhosts.hall import Hall
    from broker.vhosts.vhost import Vhost

Row = dict[str, Any]

CONFIRM_S: Final = 5.0
PROPERTY_BYTES_MAX: Final = by_hand.FRAME_MAX - 64
"""They go in one frame: who consumed a message with more could not take it, nor what comes behind it."""
ALIVENESS_QUEUE: Final = "aliveness-test"
_MANDATORY = 1
_METHOD = struct.Struct(">7xHH")
_RETURN, _ACK = (60, 50), (60, 80)
_INTEGERS = {"delivery_mode": 255, "priority": 255, "timestamp": 2**64 - 1}
_TEXT_BYTES_MAX = 255


class Mailbox:
    """What a channel says to somebody who has no connection."""

    def __init__(self) -> None:
        self.frame_max = by_hand.FRAME_MAX
        self.outbox_bytes = 0
        self.heard_at = trio.current_time()
        self.confirmed: list[tuple[float, int]] = []
        self.starved: set[Starved] = set()
        self.capabilities: frozenset[str] = frozenset()
        self.heard: set[tuple[int, int]] = set()
        """The methods that have come."""
        self._news = trio.Event()

    def send(self, data: bytes | bytearray) -> None:
        self.heard.add(_METHOD.unpack_from(data))

    def confirm_soon(self, channel: Channel) -> None:
        self._news.set()

    async def answer(self, channel: Channel) -> None:
        """Return when the channel's publishes are answered."""
        while channel.unconfirmed_count:
            await self._news.wait()
            self._news = trio.Event()
            channel.flush()


async def publish(visit: "Visit") -> Row:
    """Publish a message; `routed` if a queue has it safe."""
    vhost, client = visit.enter()
    asked = visit.body
    encoded = _properties(asked.properties)
    try:
        key, body = asked.routing_key, asked.content()
        return {"routed": await _publish(visit.hall, vhost, client, visit.exchange(), key, encoded, body)}
    except AmqpException as refused:
        if refused.code == 404:
            raise BadRequest(f"404 {refused.text}") from None
        raise of_channel(refused) from None


async def _publish(
    hall: "Hall", vhost: "Vhost", client: "Client", exchange: str, key: str, encoded: bytes, body: bytes
) -> bool:
    """It counts as published by AMQP, as in RabbitMQ."""
    hall.pressure.check()
    mailbox = Mailbox()
    channel = Channel(1, mailbox, hall.meters.traffic[AMQP])
    channel.select_confirms()
    payload = b"\0\0" + make_address(exchange, key) + bytes([_MANDATORY])
    content = assemble(1, encoded, body, mailbox.frame_max)
    try:
        vhost.publish(client, channel, payload, traits_of_properties(encoded), [content])
        vhost.publish_gathered()
        with trio.move_on_after(CONFIRM_S) as patience:
            await mailbox.answer(channel)
    finally:
        channel.close()
    if patience.cancelled_caught:
        raise BadRequest("timeout")
    if _RETURN in mailbox.heard:
        return False
    if _ACK not in mailbox.heard:
        raise BadRequest("rejected by a queue")
    return True


def _properties(said: Row) -> bytes:
    """Raises BadRequest. Those that nobody knows are passed over."""
    known = {field.name for field in fields(Properties)}
    found: Row = {name: value for name, value in said.items() if name in known and value is not None}
    for name, value in found.items():
        if name in _INTEGERS:
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _INTEGERS[name]:
                raise BadRequest(["not_int", name])
        elif name == "headers":
            if not isinstance(value, dict):
                raise BadRequest(["not_table", name])
        elif not isinstance(value, str) or len(value.encode()) > _TEXT_BYTES_MAX:
            raise BadRequest(["not_string", name])
    if found.get("reply_to") == REPLY_TO:
        raise BadRequest("406 PRECONDITION_FAILED - fast reply consumer does not exist")
    if "timestamp" in found:
        found["timestamp"] = Timestamp(found["timestamp"])
    try:
        encoded = Properties(**found).encode()
    except Malformed as malformed:
        raise BadRequest(str(malformed)) from None
    if len(encoded) > PROPERTY_BYTES_MAX:
        raise BadRequest(f"properties have at most {PROPERTY_BYTES_MAX} bytes")
    return encoded


async def fetch(visit: "Visit") -> list[Row]:
    """Take messages out of a queue, or look at them and put them back."""
    vhost, client = visit.enter()
    asked, name = visit.body, visit.part("name")
    if asked.encoding not in ("auto", "base64"):
        raise BadRequest("Unsupported encoding. Please use auto or base64.")
    try:
        client.access(vhost.name).check("read", "queue", name)
        handle = vhost.handle(name)
        client.check_exclusive(handle)
        count = asked.count if asked.count >= 0 else by_hand.GET_MESSAGES_MAX
        return await by_hand.take(handle, count, _end(asked), partial(_shown, asked))
    except AmqpException as refused:
        raise of_channel(refused) from None


def _end(asked: Any) -> int:
    """What becomes of the messages, as queues hear of it."""
    if asked.ackmode.endswith("requeue_true"):
        return frames.REQUEUE
    return frames.REJECT if asked.ackmode.startswith("reject") else frames.ACKNOWLEDGE


def _shown(asked: Any, run: Run, remaining: int) -> Row:
    content = run.contents[0]
    exchange, key = split_address(run.address)
    body = body_of(content)
    return {
        "payload_bytes": len(body),
        "redelivered": run.redelivered,
        "exchange": exchange,
        "routing_key": key,
        "message_count": remaining,
        "properties": to_plain(from_json(shown_properties(content))),
        **_payload(body if asked.truncate is None else body[: max(0, asked.truncate)], asked.encoding),
    }


def _payload(body: bytes, encoding: str) -> Row:
    if encoding == "auto":
        try:
            return {"payload": body.decode(), "payload_encoding": "string"}
        except UnicodeDecodeError:
            pass
    return {"payload": base64.b64encode(body).decode(), "payload_encoding": "base64"}


async def aliveness(visit: "Visit") -> Row:
    """Whether a message goes in and comes out, by a queue aliveness-test that stays."""
    if not visit.has_vhost:
        raise NotFound
    vhost, client = visit.enter()
    await visit.hall.declarations.declare_queue(
        client, ALIVENESS_QUEUE, passive=False, durable=False, exclusive=False, auto_delete=False, arguments={}
    )
    client.access(vhost.name).check("read", "queue", ALIVENESS_QUEUE)
    if not await _publish(visit.hall, vhost, client, "", ALIVENESS_QUEUE, Properties().encode(), b"test_message"):
        raise BadRequest("the message of the test was not routed")
    await by_hand.take(vhost.handle(ALIVENESS_QUEUE), 1, frames.ACKNOWLEDGE, lambda run, remaining: None)
    return {"status": "ok"}
