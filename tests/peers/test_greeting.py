"""The dialogue before the first frame: who holds the cookie comes in, who does not learns nothing."""

from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import memory_stream_pair

from broker.peers.greeting import greet, receive_hello, welcome
from broker.peers.introduction import Credentials, Identity, Stranger
from broker.wire.peer_frames import KIND_HELLO, KIND_WELCOME, encode_frame

ONE = Identity("n1", 3, "folder of n1")
TWO = Identity("n2", 5, "folder of n2")


def credentials(me, *, cluster="test", cookie="a cookie"):
    return Credentials(me, cluster=cluster, cookie=cookie)


@asynccontextmanager
async def both(dialler, listener):
    """Run both parts; what they ended with, by part."""
    ends = {}

    async def note(part, work):
        try:
            ends[part] = await work
        except (Stranger, trio.BrokenResourceError) as failure:
            ends[part] = failure

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note, "dialler", dialler)
        nursery.start_soon(note, "listener", listener)
    yield ends


async def listen(stream, mine, objection=None):
    async with stream:
        greeting, hello = await receive_hello(stream, mine)
        assert (await welcome(stream, mine, hello, lambda greeting: objection)).node == greeting.node
        return greeting


async def dial(stream, mine, expected="n2", lane="data"):
    async with stream:
        return await greet(stream, mine, lane, expected=expected, offset=77)


async def ends_of(mine, theirs, *, objection=None, **options):
    left, right = memory_stream_pair()
    async with both(dial(left, mine, **options), listen(right, theirs, objection)) as ends:
        return ends


async def test_two_who_share_a_cookie_know_each_other():
    ends = await ends_of(credentials(ONE), credentials(TWO))
    assert ends["dialler"] == TWO
    told = ends["listener"]
    assert (told.node, told.life, told.folder, told.lane, told.offset) == (*ONE, "data", 77)


@pytest.mark.parametrize(
    ("mine", "options", "at_dialler", "at_listener"),
    [
        (credentials(ONE, cookie="cake"), {}, "refused there: 'wrong cookie'", "wrong cookie"),
        (
            credentials(ONE, cluster="other"),
            {},
            "refused there: \"another cluster, 'other'\"",
            "another cluster, 'other'",
        ),
        (credentials(ONE), {"lane": "x"}, "refused there: \"there is no lane 'x'\"", "there is no lane 'x'"),
        (credentials(ONE), {"objection": "not a member"}, "refused there: 'not a member'", "not a member"),
        (credentials(ONE), {"expected": "n3"}, "n3 was expected, node 'n2' answered", "closed during the greeting"),
    ],
)
async def test_a_stranger_is_told_why(mine, options, at_dialler, at_listener):
    ends = await ends_of(mine, credentials(TWO), **options)
    assert str(ends["dialler"]) == at_dialler
    assert str(ends["listener"]) == at_listener


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "does not greet as a Warren node does"),
        (b"AMQP\x00\x00\x09\x01", "does not greet as a Warren node does"),
        (encode_frame(KIND_WELCOME, b""), "does not greet as a Warren node does"),
        (encode_frame(KIND_HELLO, b"hello"), "not a Warren node"),
        (encode_frame(KIND_HELLO, b"WARREN\x02"), "protocol version 2, here it is 1"),
        (encode_frame(KIND_HELLO, bytes(1025)), "does not greet as a Warren node does"),
    ],
)
async def test_garbage_is_refused_at_once(said, reason):
    left, right = memory_stream_pair()
    await left.send_all(said)
    with pytest.raises(Stranger) as caught:
        await receive_hello(right, credentials(TWO))
    assert str(caught.value) == reason


async def test_the_end_in_the_middle_is_a_broken_connection():
    left, right = memory_stream_pair()
    await left.send_all(encode_frame(KIND_HELLO, b"WARREN")[:7])
    await left.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await receive_hello(right, credentials(TWO))


async def test_who_only_knows_the_port_gets_no_proof():
    """An answer computed from the cookie could be tried against a list of cookies at leisure."""
    left, right = memory_stream_pair()
    mine = credentials(ONE, cookie="a guess")
    heard = bytearray()

    async def eavesdrop():
        async with left:
            await left.send_all(encode_frame(KIND_HELLO, mine.greeting("data").encode()))
            heard.extend(await left.receive_some())
            await left.send_all(encode_frame(3, bytes(32)))
            while more := await left.receive_some():
                heard.extend(more)

    async with both(eavesdrop(), listen(right, credentials(TWO))) as ends:
        assert str(ends["listener"]) == "wrong cookie"
    assert heard.endswith(encode_frame(4, b"wrong cookie"))
    assert b"a cookie" not in heard


async def test_a_listener_that_does_not_know_the_cookie_is_found_out():
    left, right = memory_stream_pair()

    async def pretend():
        async with right:
            _, _hello = await receive_hello(right, credentials(TWO))
            await right.send_all(encode_frame(KIND_WELCOME, credentials(TWO).greeting("data").encode()))
            await right.receive_some()
            await right.send_all(encode_frame(3, bytes(32)))

    async with both(dial(left, credentials(ONE)), pretend()) as ends:
        assert str(ends["dialler"]) == "wrong cookie"


async def test_a_strangers_words_cannot_forge_a_log_line():
    ends = await ends_of(credentials(ONE, cluster="x\n" + "y" * 200), credentials(TWO))
    assert str(ends["listener"]) == "another cluster, 'x\\n" + "y" * 98 + "'"
