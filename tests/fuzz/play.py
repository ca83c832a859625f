"""A bad client meets a whole door and hall, beside a good one; what may come of it and what may not.

Decides what "no harm" means: every answer is a frame, every refusal has a code of its class and never 541, the
connection ends when it should, nothing of it is left behind, and the neighbour's message is still there.
"""

import logging
from contextlib import contextmanager, suppress

import trio
import trio.testing

from broker.wire import methods
from broker.wire.basic_methods import BasicGet, ConfirmSelect, ConfirmSelectOk
from broker.wire.content import body_of
from broker.wire.events import Content, MethodFrame
from broker.wire.frames import FrameReader
from broker.wire.method_fields import METHODS
from broker.world.network import Stream
from tests.fuzz.script import CHANNEL_2, script_of
from tests.fuzz.tape import Tape
from tests.vhosts.door import House, open_house

SOFT = {311, 312, 313, 403, 404, 405, 406}
HARD = {402, 403, 501, 502, 503, 504, 505, 530, 540}
CLASSES = {methods.ChannelClose: SOFT, methods.ConnectionClose: HARD}
CLOSE = b"\0\x14\0\x28"
PATIENCE_S = 100.0
NEIGHBOUR = "the neighbour's queue"


class Harm(AssertionError):
    """The bad client did what it must not be able to."""


class _Faults(logging.Handler):
    """Bugs that were caught and logged are bugs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(logging.Formatter().format(record))


@contextmanager
def _no_faults():
    faults = _Faults()
    log = logging.getLogger("warren")
    level, propagates = log.level, log.propagate
    log.addHandler(faults)
    log.propagate = False
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.removeHandler(faults)
        log.setLevel(level)
        log.propagate = propagates
    if faults.texts:
        raise Harm(faults.texts[0])


async def play(tape: bytes) -> list[int]:
    """Let the client that the tape describes do its worst; the reply codes it got."""
    with _no_faults():
        async with open_house() as house:
            neighbour = await house.client()
            await neighbour.ask(1, methods.QueueDeclare(queue=NEIGHBOUR, durable=True), methods.QueueDeclareOk)
            await neighbour.ask(1, ConfirmSelect(), ConfirmSelectOk)
            neighbour.connection.publish(1, "", NEIGHBOUR, b"still here")
            await neighbour.confirmed(1)
            codes = await _misbehave(house, tape)
            neighbour.connection.call(1, BasicGet(queue=NEIGHBOUR))
            got = await neighbour.expect(Content)
            if body_of(got.content) != b"still here":
                raise Harm("the neighbour's message is not what it was")
            _check_left_behind(house)
            return codes


async def _misbehave(house: House, tape: bytes) -> list[int]:
    client = await house.client((1, CHANNEL_2))
    stream = client.stream
    heard = bytearray()
    for piece in script_of(Tape(tape)):
        with suppress(trio.BrokenResourceError):
            await stream.send_all(piece)
            await _hear(stream, heard)
            await stream.send_all(_reopened(heard))
    stream.end.send_stream.close()
    with trio.move_on_after(PATIENCE_S) as scope:
        while data := await stream.receive_some(65536):
            heard += data
    if scope.cancelled_caught:
        raise Harm("the session hangs")
    return _judged(bytes(heard))


async def _hear(stream: Stream, heard: bytearray) -> None:
    """Whatever the broker says before it waits for the client."""
    with trio.move_on_after(0.001):
        while data := await stream.receive_some(65536):
            heard += data


def _reopened(heard: bytearray) -> bytes:
    """The answer to a close that was the last thing heard on its channel: the story goes on."""
    for number in (1, CHANNEL_2):
        last = heard.rfind(b"\x01" + number.to_bytes(2, "big"))
        if heard[last + 7 : last + 11] == CLOSE:
            return methods.ChannelCloseOk().frame(number) + methods.ChannelOpen().frame(number)
    return b""


def _judged(heard: bytes) -> list[int]:
    codes = []
    over = False
    for event in FrameReader(131072, client=True).feed(heard):
        if over:
            raise Harm(f"{event} after the connection was closed")
        if not isinstance(event, MethodFrame):
            continue
        kind = METHODS[event.class_id, event.method_id]
        if kind in CLASSES:
            code = int.from_bytes(event.payload[:2], "big")  # the text may quote bytes of the client that are no text
            if code not in CLASSES[kind]:
                raise Harm(f"{kind.name} with {event.payload!r}")
            codes.append(code)
        over = kind is methods.ConnectionCloseOk
    return codes


def _check_left_behind(house: House) -> None:
    for handle in house.vhost.handles.values():
        if handle.subscriptions or handle.record.exclusive:
            raise Harm(f"{handle.text} still has what the client left")
        if handle.local is not None and handle.local.queue.messages_unacked > (handle.record.name == NEIGHBOUR):
            raise Harm(f"{handle.text} has messages that nobody will acknowledge")
    if len(house.door.sessions) != 1:
        raise Harm("the session is still listed")
