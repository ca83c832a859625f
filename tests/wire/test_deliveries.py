import random

from hypothesis import given
from hypothesis import strategies as st

from broker.wire.content import body_of, make_content, rechannel
from broker.wire.deliveries import deliver_frame, deliveries
from broker.wire.frames import FrameReader
from broker.wire.properties import Properties
from tests.wire.amqp_bytes import plain

shapes = st.sampled_from(
    [
        Properties(),
        Properties(app_id="12"),  # with a body 3 bytes shorter as long as one without
        Properties(headers={"a": 1}),
    ]
)
contents = st.lists(
    st.builds(
        lambda channel, shape, size: make_content(channel, shape, random.Random(size).randbytes(size), 300),
        st.sampled_from([1, 2, 1000]),
        shapes,
        st.sampled_from([0, 5, 8, 250, 293, 700]),
    ),
    min_size=1,
    max_size=12,
)
alike = st.builds(lambda content, count: [content[0]] * count, contents, st.integers(1, 40))


@given(contents | alike, st.sampled_from([1, 65530, 2**32 - 3]), st.sampled_from([1, 2, 700]), st.booleans())
def test_a_reader_finds_every_delivery_as_it_was_meant(contents, first_tag, channel, redelivered):
    front, back = deliver_frame(channel, b"ctag", b"\1x\2rk", redelivered)
    data = bytes(deliveries(front, back, first_tag, contents, channel, 0))
    found = plain(FrameReader(300, client=True, runs=False).feed(data))
    assert found == [
        ("deliver", channel, b"ctag", redelivered, b"\1x\2rk", first_tag + i, rechannel(content, channel))
        for i, content in enumerate(contents)
    ]


@given(contents)
def test_bodies_survive_smaller_frames(contents):
    front, back = deliver_frame(1, b"c", b"\0\1q", False)
    data = bytes(deliveries(front, back, 1, contents, 1, 100))
    found = plain(FrameReader(100, client=True).feed(data))
    assert [body_of(event[6]) for event in found] == [body_of(content) for content in contents]
