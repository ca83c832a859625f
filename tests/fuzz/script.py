"""What a bad client says: methods of every kind in any order with any arguments, contents that lie, damaged frames.

Decides the words, from a tape; it must not know what the broker should answer.
"""

import struct
from typing import Any

from broker.wire import basic_methods, methods
from broker.wire.content import make_content
from broker.wire.fields import Table
from broker.wire.method_fields import METHODS, Method
from broker.wire.properties import Properties
from tests.fuzz.tape import NUMBERS, Tape

NAMES = (
    "q",
    "",
    "e",
    "amq.topic",
    "amq.fanout",
    "amq.x",
    "nobody",
    "q2",
    "amq.headers",
    "q\n",
    "amq.rabbitmq.reply-to",
)
OFTEN_NAMES = {"exchange": "e", "source": "e", "destination": "e", "consumer_tag": "", "type": "topic"}
KINDS = ("direct", "topic", "fanout", "headers", "x-consistent-hash", "x-random", "x-delayed-message", "nonsense", "")
ARGUMENTS = (
    "x-message-ttl",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-overflow",
    "x-max-priority",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-queue-type",
    "x-single-active-consumer",
    "x-delivery-limit",
    "x-queue-mode",
    "x-priority",
    "x-match",
    "alternate-exchange",
    "hash-header",
    "x-delayed-type",
)
OFTEN = (
    basic_methods.BasicPublish,
    basic_methods.BasicAck,
    basic_methods.BasicConsume,
    basic_methods.BasicGet,
    basic_methods.BasicNack,
    methods.QueueDeclare,
    methods.QueueBind,
    methods.ExchangeDeclare,
)
CLIENTS = (
    *OFTEN,
    methods.ChannelOpen,
    methods.ChannelClose,
    methods.ConnectionClose,
    basic_methods.BasicQos,
    basic_methods.BasicReject,
    basic_methods.BasicRecover,
    basic_methods.BasicCancel,
    basic_methods.ConfirmSelect,
    basic_methods.TxSelect,
    basic_methods.TxCommit,
    basic_methods.TxRollback,
    methods.ChannelFlow,
    methods.ExchangeDelete,
    methods.ExchangeBind,
    methods.ExchangeUnbind,
    methods.QueueDelete,
    methods.QueuePurge,
    methods.QueueUnbind,
)
ALL = tuple(METHODS[key] for key in sorted(METHODS))
STEPS_MAX = 40
CHANNEL_2 = 2


def script_of(tape: Tape) -> list[bytes]:
    """What is sent after the connection and the channels 1 and 2 are open, piece by piece."""
    pieces = [
        methods.QueueDeclare(queue="q", durable=tape.chance(2)).frame(1),
        methods.ExchangeDeclare(exchange="e", type=tape.pick(KINDS[:4])).frame(1),
        methods.QueueBind(queue="q", exchange="e", routing_key="q").frame(1),
    ]
    while not tape.at_end and len(pieces) < STEPS_MAX:
        piece = _piece(tape)
        pieces.append(_damaged(tape, piece) if tape.chance(64) else piece)
    return pieces


def _piece(tape: Tape) -> bytes:
    kind = tape.number(64)
    if kind == 62:
        return tape.raw(60)
    if kind == 63:
        return _frame(tape)
    chosen = tape.pick(OFTEN) if kind < 48 else tape.pick(CLIENTS) if kind < 60 else tape.pick(ALL)
    channel = tape.pick((0, 3000)) if tape.chance(64) else CHANNEL_2 if tape.chance(8) else 1
    frame = _method(tape, chosen).frame(channel)
    return frame + _content(tape, channel) if chosen is basic_methods.BasicPublish else frame


def _method(tape: Tape, kind: type[Method]) -> Method:
    made = kind(*[_argument(tape, name, coding) for name, coding in kind.arguments_in_order])
    if isinstance(made, basic_methods.BasicPublish) and tape.chance(2):
        made.exchange = ""
    return made


def _argument(tape: Tape, name: str, coding: str) -> Any:
    if coding == "bit":
        return tape.chance(16 if name in ("passive", "immediate") else 4)
    if coding == "table":
        return _table(tape)
    if coding == "longstring":
        return tape.raw(20)
    if coding == "shortstring":
        return _name(tape, KINDS if name == "type" else NAMES, often=OFTEN_NAMES.get(name, "q"))
    if name == "delivery_tag" and not tape.chance(8):
        return tape.number(4)
    size = {"octet": 8, "short": 16, "word": 32, "longlong": 64}[coding]
    return tape.pick(NUMBERS) % 2**size


def _name(tape: Tape, names: tuple[str, ...], *, often: str) -> str:
    return tape.pick(names) if tape.chance(4) else often  # else few would ever meet


def _table(tape: Tape) -> Table:
    return {tape.pick(ARGUMENTS): tape.value() for _ in range(tape.number(3))} if tape.chance(3) else {}


def _content(tape: Tape, channel: int) -> bytes:
    lie = tape.number(64)
    if lie == 63:
        return b""  # the content never comes
    headers = {tape.pick(("CC", "BCC", "x-delay", "x-death", "a")): tape.value()} if tape.chance(3) else None
    properties = Properties(headers=headers)
    if tape.chance(3):
        properties.delivery_mode = tape.pick((1, 2, 3))
        properties.priority = tape.pick((None, 0, 200))
        properties.expiration = tape.pick((None, None, "0", "10", "-1", "soon"))
        properties.reply_to = tape.pick((None, None, "amq.rabbitmq.reply-to", "q"))
        properties.user_id = tape.pick((None, None, "guest", "root"))
    content = make_content(channel, properties, tape.raw(40), 4096)
    if lie == 62:  # of another size than it says
        return content[:11] + struct.pack(">Q", tape.pick(NUMBERS)) + content[19:]
    if lie == 61:  # of another class, or with properties that make no sense
        return content[:7] + tape.raw(4) + content[7:]
    return content


def _frame(tape: Tape) -> bytes:
    """A frame of any type with any payload."""
    payload = tape.raw(30)
    kind = tape.pick((1, 2, 3, 8, 4, 0, 255))
    size = tape.pick(NUMBERS) % 2**32 if tape.chance(4) else len(payload)
    end = 0 if tape.chance(6) else 0xCE
    return struct.pack(">BHI", kind, tape.pick((0, 1, CHANNEL_2)), size) + payload + bytes((end,))


def _damaged(tape: Tape, piece: bytes) -> bytes:
    if not piece:
        return piece
    at = tape.number(256) % len(piece)
    match tape.number(3):
        case 0:
            return piece[:at] + bytes((piece[at] ^ 1 << tape.number(8),)) + piece[at + 1 :]
        case 1:
            return piece[:at]
    return piece[:at] + tape.raw(6) + piece[at:]
