"""What the house hears of a peer, and in which order."""

import pytest
import trio
from trio.testing import memory_stream_pair

from broker.peers.connection import Incoming, Outgoing
from broker.peers.introduction import Identity
from broker.peers.peer import News, Peer

FIRST = Identity("n2", 1, "folder")
SECOND = Identity("n2", 2, "folder")


class Wire:
    """As much of a stream as a half needs that is never run."""

    def __init__(self):
        self.closed = False

    def close_now(self):
        self.closed = True


def outgoing(identity=FIRST, lane="data"):
    return Outgoing(Wire(), identity, lane, offset=0, backlog_bytes_max=1000)


def incoming(identity=FIRST, lane="data"):
    return Incoming(Wire(), identity, lane, offset=0)


@pytest.fixture
def heard():
    return []


@pytest.fixture
def peer(heard):
    news = News()
    for name in ("up", "down", "incoming", "incoming_closed"):
        getattr(news, name).append(lambda peer, life, lane, name=name: heard.append(f"{name} {life} {lane}"))
    news.dead.append(lambda peer, life: heard.append(f"dead {life}"))
    return Peer("n2", "address", news)


async def test_a_newer_life_closes_what_is_left_of_the_older_first(peer, heard):
    old = [outgoing(), outgoing(lane="control"), incoming()]
    for half in old:
        assert peer.opens(half)
    heard.clear()
    assert peer.opens(incoming(SECOND))
    assert heard == ["down 1 data", "down 1 control", "incoming_closed 1 data", "dead 1", "incoming 2 data"]
    assert all(half.stream.closed and not half.open for half in old)
    late = outgoing(FIRST)
    assert not peer.opens(late)
    assert late.stream.closed
    assert heard[-1] == "incoming 2 data"


async def test_who_dials_again_has_given_up_the_connection_before(peer, heard):
    before, after = incoming(), incoming()
    peer.opens(before)
    peer.opens(after)
    assert heard == ["incoming 1 data", "incoming_closed 1 data", "incoming 1 data"]
    assert before.stream.closed
    assert peer.incoming == {"data": after}


async def test_closing_is_told_once(peer, heard):
    half = outgoing()
    peer.opens(half)
    half.end("first reason")
    peer.closes(half, "second reason")
    peer.closes(half, "third reason")
    assert heard == ["up 1 data", "down 1 data"]
    assert half.reason == "first reason"


@pytest.mark.parametrize("direction", [True, False])
async def test_a_greeting_that_ends_behind_a_cut_comes_too_late(peer, heard, direction):
    peer.block(incoming=direction)
    for half in (outgoing(), incoming()):
        assert not peer.opens(half)
        assert half.stream.closed
    assert heard == []


async def test_a_refusal_that_comes_through_behind_a_cut_is_not_heard(peer, heard):
    half = outgoing()
    peer.opens(half)
    peer.closes(half, "a test")
    peer.block(incoming=True)
    for second in range(3):
        peer.refused(second * 0.01, second * 0.01 + 0.001)
    assert "dead 1" not in heard
    peer.unblock(incoming=True)
    for second in range(2):
        peer.refused(second * 0.01, second * 0.01 + 0.001)
    assert heard[-1] == "dead 1"


async def test_mending_one_direction_mends_nothing_that_has_lost_bytes(peer, heard):
    half = outgoing()
    peer.opens(half)
    peer.block(incoming=True)
    peer.block(incoming=False)
    peer.unblock(incoming=True)
    assert half.open
    assert half.deaf
    peer.unblock(incoming=False)
    assert not half.open
    assert heard == ["up 1 data", "down 1 data"]


async def test_a_cut_swallows_what_was_queued(peer):
    half = outgoing()
    peer.opens(half)
    assert half.send(16, b"before") == 11
    peer.block(incoming=False)
    assert half.backlog_bytes == 0
    assert half.send(16, b"behind") == 22, "the sender does not see it"
    assert half.backlog_bytes == 0


async def test_the_last_connection_to_close_has_the_dialler_look(peer):
    first, last = outgoing(), incoming()
    peer.opens(first)
    peer.opens(last)
    kick = peer.next_kick("data")
    peer.closes(first, "a test")
    assert not kick.is_set()
    peer.closes(last, "a test")
    assert kick.is_set()


async def test_a_watcher_may_close_what_has_just_opened(peer, heard):
    peer._news.up.append(lambda name, life, lane: peer.disconnect("not now"))
    assert not peer.opens(outgoing())
    assert heard == ["up 1 data", "down 1 data"]


async def test_offsets_are_kept_for_the_next_connection(peer):
    half = outgoing()
    peer.opens(half)
    half.send(16, b"abc")
    peer.closes(half, "a test")
    assert peer.offsets == {"control": 0, "data": 8}


async def test_bytes_against_the_stream_end_a_connection():
    left, right = memory_stream_pair()
    left.close_now = left.send_stream.close
    half = Outgoing(left, FIRST, "data", offset=0, backlog_bytes_max=1000)
    await right.send_all(b"x")
    with trio.fail_after(1):
        await half.run()
    assert half.reason == "bytes against the stream"
