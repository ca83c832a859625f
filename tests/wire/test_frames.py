import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.wire.basic_methods import BasicGetOk, BasicReturn
from broker.wire.content import body_of, make_content
from broker.wire.events import Acks, Content, Delivered, Fault, Heartbeat, MethodFrame, Oversize, Publish
from broker.wire.frames import FrameReader
from broker.wire.methods import ChannelOpen
from broker.wire.properties import Properties
from tests.wire.amqp_bytes import HEARTBEAT, acked, conversation, cut_points, cuts, delivered, plain, published

FRAME_MAX = 4096


def read(pieces, **settings):
    reader = FrameReader(FRAME_MAX, **settings)
    return [event for piece in pieces for event in reader.feed(piece)]


@given(st.integers(min_value=0, max_value=10**6), cut_points, st.booleans())
def test_runs_and_the_general_road_see_the_same_however_cut(seed, points, client):
    data = conversation(seed, client=client)
    judge = plain(read([data], client=client, runs=False))
    assert judge
    assert plain(read(cuts(data, points), client=client)) == judge


@given(st.integers(min_value=0, max_value=10**6), cut_points, st.integers(0, 10**6), st.binary(max_size=3))
def test_damaged_bytes_end_alike_on_both_roads(seed, points, where, noise):
    data = conversation(seed)
    where %= len(data)
    damaged = data[:where] + noise + data[where + len(noise) :]
    assert plain(read(cuts(damaged, points))) == plain(read([damaged], runs=False))


@given(st.binary(max_size=300), cut_points)
def test_garbage_ends_alike_on_both_roads_and_is_not_kept(garbage, points):
    reader = FrameReader(FRAME_MAX)
    events = [event for piece in cuts(garbage, points) for event in reader.feed(piece)]
    assert plain(events) == plain(read([garbage], runs=False))
    assert len(reader._tail) <= 3 * (FRAME_MAX + 8)


def test_equal_publishes_become_one_run():
    bodies = [b"%012d" % i for i in range(1000)]
    (run,) = read([b"".join(published(body) for body in bodies)])
    assert isinstance(run, Publish)
    assert run.payload == b"\0\0\0\x01q\0"
    assert run.address == b"\0\x01q"
    assert [body_of(content) for content in run.contents] == bodies
    assert run.contents[5] == make_content(1, Properties(), bodies[5], FRAME_MAX)


def test_a_run_goes_on_over_other_sizes_and_other_ids_but_not_over_other_traits():
    odd = [published(b"x" * size, properties=Properties(message_id=str(size))) for size in (1, 5, 0, 1, 2)]
    runs = read([b"".join([*odd, published(b"y", properties=Properties(priority=1))])])
    assert [len(run.contents) for run in runs] == [5, 1]
    assert runs[1].traits.priority == 1


def test_a_body_that_holds_a_whole_publish_is_still_one_message():
    inner = published(b"inside")
    data = published(inner) * 3
    (run,) = read([data])
    assert [body_of(content) for content in run.contents] == [inner] * 3


def test_a_large_body_comes_in_many_frames():
    body = random.Random(1).randbytes(20000)
    (event,) = read(cuts(published(body), range(0, 25000, 777)))
    assert body_of(event.contents[0]) == body


def test_a_body_cut_finer_than_need_be_is_kept_in_full_frames():
    (event,) = read([published(b"ab" * 3000, frame_max=10)])
    assert event.contents == [make_content(1, Properties(), b"ab" * 3000, FRAME_MAX)]


def test_messages_of_two_channels_may_be_interleaved():
    one, two = published(b"a" * 5000, channel=1), published(b"b" * 5000, channel=2)
    last = 912 + 8
    events = read([one[:-last] + two[:-last] + one[-last:] + two[-last:]])
    assert [event.channel for event in events] == [1, 2]


def test_acknowledgements_in_a_row_become_one():
    events = read([b"".join(acked(tag) for tag in range(65000, 66200)) + acked(70000, multiple=True) + acked(70002)])
    assert [(e.first_tag, e.last_tag, e.multiple) for e in events if isinstance(e, Acks)] == [
        (65000, 66199, False),
        (70000, 70000, True),
        (70002, 70002, False),
    ]


def test_deliveries_in_a_row_become_one():
    (event,) = read([b"".join(delivered(b"%04d" % tag, tag) for tag in range(1, 100))], client=True)
    assert isinstance(event, Delivered)
    assert (event.consumer_tag, event.first_tag, event.address, len(event.contents)) == (b"c", 1, b"\0\x01q", 99)


@pytest.mark.parametrize("method", [BasicReturn(reply_text="NO_ROUTE"), BasicGetOk(delivery_tag=3)])
def test_returns_and_get_answers_come_with_their_content(method):
    content = make_content(1, Properties(), b"x", FRAME_MAX)
    (event,) = read([method.frame(1) + content], client=True)
    assert isinstance(event, Content)
    assert (event.method_id, event.content) == (method.method_id, content)


def test_other_methods_and_heartbeats_are_passed_on():
    method, beat = read([ChannelOpen().frame(7) + HEARTBEAT])
    assert isinstance(method, MethodFrame)
    assert (method.channel, method.class_id, method.method_id, method.payload) == (7, 20, 10, b"\0")
    assert isinstance(beat, Heartbeat)


def fault(data, **settings):
    *_, last = read([data], **settings)
    assert isinstance(last, Fault)
    return last.code, last.why


def test_frames_that_are_none():
    header = published(b"abc")[18:]
    method = published(b"abc")[:18]
    assert fault(b"\x01\0\1\0\1\0\0") == (501, "type 1, all octets = <<>>: {frame_too_large,65536,4088}")
    assert fault(b"\x01\0\1\0\0\0\4\0\x14\0\x0a\xcd") == (
        501,
        "type 1, all octets = <<0,20,0,10>>: {invalid_frame_end_marker,205}",
    )
    assert fault(b"\x05\0\1\0\0\0\3abc\xce") == (501, 'type 5, all octets = <<"abc">>: unknown_frame')
    assert fault(b"\x08\0\1\0\0\0\0\xce") == (505, "type 8, all octets = <<>>")
    assert fault(header) == (505, "expected method frame, got non method frame instead")
    assert fault(method * 2) == (
        505,
        "expected content header for class 60, got non content header frame instead",
    )
    assert fault(method + header[:22] + method)[1] == "expected content body, got non content body frame instead"
    assert fault(method + b"\x02\0\1\0\0\0\x0e\0\x32" + bytes(12) + b"\xce")[1] == (
        "expected content header for class 60, got one for class 50 instead"
    )


def test_nothing_follows_a_fatal_fault():
    reader = FrameReader(FRAME_MAX)
    assert len(reader.feed(HEARTBEAT + b"\x01\0\0\xff\xff\xff\xff" + HEARTBEAT)) == 2
    assert reader.feed(HEARTBEAT) == []


def test_messages_before_broken_ones_are_not_lost():
    broken = bytearray(published(b"x", properties=Properties(app_id="a")))
    broken[18 + 21] = 200  # the text runs out of the header
    run, end = read([published(b"x") * 3 + bytes(broken)])
    assert len(run.contents) == 3
    assert (end.code, end.fatal) == (502, True)


def test_a_message_beyond_the_limit_is_reported_and_thrown_away():
    reader = FrameReader(FRAME_MAX, message_bytes_max=5000)
    events = reader.feed(published(bytes(6000)) + published(b"next"))
    assert isinstance(events[0], Oversize)
    assert events[0].size == 6000
    assert [body_of(content) for content in events[1].contents] == [b"next"]
    assert not reader.assembling
