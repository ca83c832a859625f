"""What clients must not say, byte by byte, and what RabbitMQ 3.10 answers; each begins with channel 1 open."""

import struct

import pytest

from broker.wire import methods
from broker.wire.basic_methods import (
    BasicAck,
    BasicConsumeOk,
    BasicDeliver,
    BasicGet,
    BasicGetOk,
    BasicPublish,
    BasicQos,
    BasicQosOk,
    BasicRecover,
    BasicRecoverAsync,
    BasicRecoverOk,
    BasicReturn,
    TxSelectOk,
)
from tests.server.fakes import world


def frame(kind, channel, payload, end=b"\xce"):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + end


def method(class_id, method_id, payload=b"", channel=1):
    return frame(1, channel, struct.pack(">HH", class_id, method_id) + payload)


def header(size, *, channel=1, class_id=60, weight=0):
    return frame(2, channel, struct.pack(">HHQH", class_id, weight, size, 0))


def body(payload, channel=1):
    return frame(3, channel, payload)


PUBLISH = BasicPublish(routing_key="q").frame(1)
QOS = BasicQos().frame(1)
NO_METHOD = "UNEXPECTED_FRAME - expected method frame, got non method frame instead"
NO_HEADER = "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead"
NO_BODY = "UNEXPECTED_FRAME - expected content body, got non content body frame instead"
UNIMPLEMENTED = "COMMAND_INVALID - unimplemented method"
RUNNING = "CHANNEL_ERROR - unexpected method in connection state running"
NOT_OPEN = "CHANNEL_ERROR - expected 'channel.open'"
OPEN = "CHANNEL_ERROR - second 'channel.open' seen"

VIOLATIONS = {
    # frames
    "heartbeat on a channel": (frame(8, 1, b""), 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", 0, 0),
    "heartbeat on a closed channel": (frame(8, 5, b""), 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", 0, 0),
    "heartbeat within a message": (
        PUBLISH + frame(8, 1, b""),
        505,
        "UNEXPECTED_FRAME - type 8, all octets = <<>>",
        0,
        0,
    ),
    "heartbeat that says something": (
        frame(8, 0, b"abc"),
        501,
        'FRAME_ERROR - type 8, all octets = <<"abc">>: unknown_frame',
        0,
        0,
    ),
    "unknown frame": (
        frame(9, 1, b"abcdefghijklmnopqrst"),
        501,
        'FRAME_ERROR - type 9, first 16 octets = <<"abcdefghijklmnop">>: unknown_frame',
        0,
        0,
    ),
    "frame without its end": (
        frame(1, 1, b"\0\x32\0\x0a", b"\xcd"),
        501,
        "FRAME_ERROR - type 1, all octets = <<0,50,0,10>>: {invalid_frame_end_marker,205}",
        0,
        0,
    ),
    "frame too large": (
        struct.pack(">BHI", 1, 1, 200000),
        501,
        "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,200000,131064}",
        0,
        0,
    ),
    "frame as large as frame_max": (frame(3, 1, b"x" * 131072), 505, NO_METHOD, 0, 0),
    "method without numbers": (
        frame(1, 1, b"abc"),
        501,
        'FRAME_ERROR - type 1, all octets = <<"abc">>: unknown_frame',
        0,
        0,
    ),
    "content on channel 0": (frame(3, 0, b"abc"), 505, 'UNEXPECTED_FRAME - type 3, all octets = <<"abc">>', 0, 0),
    # content out of turn
    "header without a method": (header(3), 505, NO_METHOD, 0, 0),
    "body without a method": (body(b"abc"), 505, NO_METHOD, 0, 0),
    "method instead of a header": (PUBLISH + QOS, 505, NO_HEADER, 60, 40),
    "close instead of a header": (PUBLISH + methods.ChannelClose(200).frame(1), 505, NO_HEADER, 60, 40),
    "body instead of a header": (PUBLISH + body(b"abc"), 505, NO_HEADER, 60, 40),
    "header with a weight": (PUBLISH + header(3, weight=1), 505, NO_HEADER, 60, 40),
    "header of another class": (
        PUBLISH + header(3, class_id=50),
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        60,
        40,
    ),
    "header instead of a body": (PUBLISH + header(3) + header(3), 505, NO_BODY, 60, 40),
    "method instead of a body": (PUBLISH + header(3) + QOS, 505, NO_BODY, 60, 40),
    "body longer than announced": (PUBLISH + header(3) + body(b"abcd") + body(b"ef") + QOS, 505, NO_BODY, 60, 40),
    "body of an empty message": (PUBLISH + header(0) + body(b""), 505, NO_METHOD, 0, 0),
    # arguments
    "qos cut short": (method(60, 10, b"\0\0"), 501, "FRAME_ERROR - cannot decode <<0,0>>", 60, 10),
    "qos with more": (
        method(60, 10, b"\0\0\0\0\0\0\0zz"),
        501,
        "FRAME_ERROR - cannot decode <<0,0,0,0,0,0,0,122,122>>",
        60,
        10,
    ),
    "publish cut short": (method(60, 40, b"\0\0"), 501, "FRAME_ERROR - cannot decode <<0,0>>", 60, 40),
    "ack cut short": (method(60, 80, b"\0\0"), 501, "FRAME_ERROR - cannot decode <<0,0>>", 60, 80),
    "table longer than its method": (
        method(50, 10, b"\0\0\1q\0\0\0\0\xff\3abZ0"),
        501,
        "FRAME_ERROR - cannot decode <<0,0,1,113,0,0,0,0,255,3,97,98,90,48>>",
        50,
        10,
    ),
    # methods out of place
    "basic on channel 0": (BasicQos().frame(0), 504, RUNNING, 60, 10),
    "channel.open on channel 0": (methods.ChannelOpen().frame(0), 504, RUNNING, 20, 10),
    "connection.open twice": (methods.ConnectionOpen("/").frame(0), 504, RUNNING, 10, 40),
    "tune-ok twice": (methods.ConnectionTuneOk(1, 1, 1).frame(0), 504, RUNNING, 10, 31),
    "start-ok twice": (methods.ConnectionStartOk({}, "PLAIN", b"", "en_US").frame(0), 504, RUNNING, 10, 11),
    "close-ok without a close": (methods.ConnectionCloseOk().frame(0), 504, RUNNING, 10, 51),
    "connection.close on a channel": (methods.ConnectionClose(200).frame(1), 503, UNIMPLEMENTED, 10, 50),
    "channel.close-ok without a close": (methods.ChannelCloseOk().frame(1), 503, UNIMPLEMENTED, 20, 41),
    "channel.open-ok": (methods.ChannelOpenOk().frame(1), 503, UNIMPLEMENTED, 20, 11),
    "channel.flow-ok": (methods.ChannelFlowOk(active=True).frame(1), 503, UNIMPLEMENTED, 20, 21),
    "queue.declare-ok": (methods.QueueDeclareOk("q", 1, 1).frame(1), 503, UNIMPLEMENTED, 50, 11),
    "consume-ok": (BasicConsumeOk("c").frame(1), 503, UNIMPLEMENTED, 60, 21),
    "recover-ok": (BasicRecoverOk().frame(1), 503, UNIMPLEMENTED, 60, 111),
    "tx.select-ok": (TxSelectOk().frame(1), 503, UNIMPLEMENTED, 90, 11),
    "deliver": (BasicDeliver("c", 1, False, "", "q").frame(1) + header(0), 503, UNIMPLEMENTED, 60, 60),
    "return": (BasicReturn(312, "", "", "q").frame(1) + header(0), 503, UNIMPLEMENTED, 60, 50),
    "get-ok": (BasicGetOk(1, False, "", "q", 1).frame(1) + header(0), 503, UNIMPLEMENTED, 60, 71),
    # channels
    "second open": (methods.ChannelOpen().frame(1), 504, OPEN, 20, 10),
    "method on a closed channel": (BasicQos().frame(5), 504, NOT_OPEN, 60, 10),
    "close of a closed channel": (methods.ChannelClose(200).frame(5), 504, NOT_OPEN, 20, 40),
    "close-ok on a closed channel": (methods.ChannelCloseOk().frame(5), 504, NOT_OPEN, 20, 41),
    "ack on a closed channel": (BasicAck(1).frame(5), 504, NOT_OPEN, 60, 80),
    "message on a closed channel": (
        BasicPublish(routing_key="q").frame(5) + header(0, channel=5),
        504,
        NOT_OPEN,
        60,
        40,
    ),
    "content on a closed channel": (header(0, channel=5), 505, NO_METHOD, 0, 0),
    # what is not implemented
    "prefetch size": (BasicQos(prefetch_size=1).frame(1), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", 60, 10),
    "recover without requeue": (BasicRecover(requeue=False).frame(1), 540, "NOT_IMPLEMENTED - requeue=false", 60, 110),
    "recover-async without requeue": (
        BasicRecoverAsync(requeue=False).frame(1),
        540,
        "NOT_IMPLEMENTED - requeue=false",
        60,
        100,
    ),
    "flow off": (methods.ChannelFlow(active=False).frame(1), 540, "NOT_IMPLEMENTED - active=false", 20, 20),
}


@pytest.mark.parametrize(("sent", "code", "text", "class_id", "method_id"), VIOLATIONS.values(), ids=VIOLATIONS.keys())
async def test_a_violation_closes_the_connection(sent, code, text, class_id, method_id, autojump_clock):
    async with world() as house:
        talker = await house.connect().open()
        await talker.stream.send_all(sent)
        close = await talker.expect(methods.ConnectionClose)
        assert (close.reply_code, close.reply_text) == (code, text)
        assert (close.failed_class_id, close.failed_method_id) == (class_id, method_id)
        await talker.ended()
        assert house.hall.closed_clients == 1


HARMLESS = {
    "channels are counted, not measured": methods.ChannelOpen().frame(2000),
    "heartbeat of the connection within a message": PUBLISH + frame(8, 0, b"") + header(0),
    "empty frames within a body": PUBLISH + header(3) + body(b"") + body(b"abc"),
    "recover-async": BasicRecoverAsync(requeue=True).frame(1),
}


@pytest.mark.parametrize("sent", HARMLESS.values(), ids=HARMLESS.keys())
async def test_what_is_odd_and_harmless(sent):
    async with world() as house:
        talker = await house.connect().open()
        await talker.stream.send_all(sent)
        talker.connection.call(1, BasicQos())
        while not isinstance((await talker.listen())[1], BasicQosOk):
            pass


AFTER_AN_ERROR = {
    "anything but a close is ignored": (
        QOS
        + BasicQos(prefetch_size=1).frame(1)
        + methods.QueueDeclareOk("q", 0, 0).frame(1)
        + PUBLISH
        + header(0)
        + BasicAck(77).frame(1),
        [],
    ),
    "a close is answered, however often": (methods.ChannelClose(200).frame(1) * 2, [methods.ChannelCloseOk] * 2),
}


@pytest.mark.parametrize(("sent", "answers"), AFTER_AN_ERROR.values(), ids=AFTER_AN_ERROR.keys())
async def test_after_a_channel_error(sent, answers):
    async with world() as house:
        talker = await house.connect().open()
        # in one go: the talker answers a close as soon as it hears it
        await talker.stream.send_all(BasicGet(queue="none").frame(1) + sent)
        for answer in (methods.ChannelClose, *answers):
            await talker.expect(answer)
        await talker.ask(1, methods.ChannelOpen(), methods.ChannelOpenOk)


@pytest.mark.parametrize(
    ("sent", "code", "text", "class_id", "method_id"),
    [
        (methods.ChannelOpen().frame(1), 504, OPEN, 20, 10),
        (header(3), 505, NO_METHOD, 0, 0),
        (method(60, 10, b"\0\0"), 501, "FRAME_ERROR - cannot decode <<0,0>>", 60, 10),
    ],
)
async def test_a_violation_on_a_channel_that_closes(sent, code, text, class_id, method_id):
    async with world() as house:
        talker = await house.connect().open()
        await talker.stream.send_all(BasicGet(queue="none").frame(1) + sent)
        await talker.expect(methods.ChannelClose)
        close = await talker.expect(methods.ConnectionClose)
        assert (close.reply_code, close.reply_text) == (code, text)
        assert (close.failed_class_id, close.failed_method_id) == (class_id, method_id)


async def test_after_a_connection_error_nothing_counts_but_its_end():
    async with world() as house:
        talker = await house.connect().open()
        ignored = QOS + methods.ChannelOpen().frame(2) + methods.ConnectionOpen("/").frame(0) + frame(9, 0, b"")
        goodbye = methods.ConnectionClose(200).frame(0)
        await talker.stream.send_all(BasicRecover(requeue=False).frame(1) + ignored + goodbye)
        await talker.expect(methods.ConnectionClose)
        await talker.expect(methods.ConnectionCloseOk)
        await talker.ended()
