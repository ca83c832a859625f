"""Deliveries are counted exactly, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.perf.tally import Interrupted, Tally
from broker.wire.basic_methods import BasicCancel, BasicDeliver
from broker.wire.content import make_content
from broker.wire.methods import ChannelClose
from broker.wire.properties import Properties


def delivery(tag: int, body: bytes, *, key: str = "q", frame_max: int = 4096) -> bytes:
    method = BasicDeliver(consumer_tag="c1", delivery_tag=tag, exchange="", routing_key=key)
    return method.frame(1) + make_content(1, Properties(), body, frame_max)


def feed(tally: Tally, data: bytes, cuts: list[int]) -> list[int]:
    stamps, start = [], 0
    for cut in [*sorted(cuts), len(data)]:
        if cut > start:
            stamps += tally.feed(data[start:cut])
            start = cut
    return stamps


@given(
    st.integers(1, 40),
    st.sampled_from([0, 5, 8, 12, 100, 9000]),
    st.lists(st.integers(0, 4000), max_size=12),
    st.booleans(),
)
def test_equal_deliveries_are_counted(count: int, size: int, cuts: list[int], uniform: bool) -> None:
    body = (1234567).to_bytes(8)[:size] + bytes(max(0, size - 8))
    data = b"".join(delivery(tag, body) for tag in range(1, count + 1))
    tally = Tally(uniform=uniform)
    stamps = feed(tally, data, [cut for cut in cuts if cut < len(data)])
    assert tally.count == count
    assert tally.between
    assert set(stamps) <= {1234567}
    assert size < 8 or count > 1 or stamps


@given(st.lists(st.integers(0, 6000), min_size=1, max_size=30), st.lists(st.integers(0, 20000), max_size=12))
def test_deliveries_of_all_sizes_are_counted(sizes: list[int], cuts: list[int]) -> None:
    data = b"".join(delivery(tag, bytes(size), key="k" * (size % 9)) for tag, size in enumerate(sizes, 1))
    tally = Tally(uniform=False)
    feed(tally, data, [cut for cut in cuts if cut < len(data)])
    assert tally.count == len(sizes)
    assert tally.between


def test_each_stamp_is_its_own_messages() -> None:
    data = b"".join(delivery(tag, tag.to_bytes(8) + b"tail") for tag in range(1, 9))
    tally = Tally(uniform=True)
    assert tally.feed(data[:-5]) == [1, 2, 3, 4, 5, 6, 7]
    assert not tally.between


def test_a_delivery_that_has_begun_is_not_counted() -> None:
    tally = Tally(uniform=True)
    tally.feed(delivery(1, bytes(12)) * 2 + delivery(3, bytes(12))[:-1])
    assert tally.count == 2
    assert not tally.between


@pytest.mark.parametrize("uniform", [True, False])
def test_a_closed_channel_is_told(uniform: bool) -> None:
    tally = Tally(uniform=uniform)
    close = ChannelClose(reply_code=404, reply_text="NOT_FOUND - no queue 'q' in vhost '/'")
    with pytest.raises(Interrupted, match=r"channel\.close: 404 NOT_FOUND - no queue"):
        tally.feed(delivery(1, bytes(12)) + close.frame(1))


def test_a_cancelled_consumer_is_told() -> None:
    with pytest.raises(Interrupted, match=r"basic\.cancel"):
        Tally(uniform=True).feed(BasicCancel(consumer_tag="c1").frame(1))


def test_a_longer_delivery_among_equal_ones_is_noticed() -> None:
    tally = Tally(uniform=True)
    tally.feed(delivery(1, bytes(12)))
    with pytest.raises(Interrupted):
        tally.feed(b"".join(delivery(tag, bytes(13)) for tag in range(2, 20)))


def test_heartbeats_before_the_first_delivery_do_not_count() -> None:
    tally = Tally(uniform=True)
    tally.feed(b"\x08\0\0\0\0\0\0\xce" * 2)
    tally.feed(b"\x08\0\0\0\0\0\0\xce" + delivery(1, bytes(12)))
    assert tally.count == 1
