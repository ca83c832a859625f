"""Numbers go in one by one and are found again, however the bytes are cut; what is not in order is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.perf.numbered import NumberedBlock, Sequence
from broker.perf.tally import Interrupted
from broker.wire.basic_methods import BasicCancel
from broker.wire.content import body_of
from broker.wire.events import Publish
from broker.wire.frames import FrameReader
from tests.perf.test_tally import delivery


def numbers_of(data: bytes) -> list[int]:
    """Read by the broker's own parser."""
    found = []
    for event in FrameReader(131072).feed(data):
        assert isinstance(event, Publish)
        assert event.traits.persistent
        found += [int.from_bytes(body_of(content)[:8]) for content in event.contents]
    return found


@pytest.mark.parametrize(("size", "first"), [(8, 1), (100, 65_530), (100, 2**32 - 3), (70_000, 1)])
def test_a_block_numbers_its_messages_across_calls(size: int, first: int) -> None:
    block = NumberedBlock("q", size, 131072, persistent=True, first=first)
    found: list[int] = []
    for most in (3, 10**9, 1, 500):
        data, count = block.take(most, 99)
        found += numbers_of(bytes(data))
        assert count <= min(most, block.count)
    assert found == list(range(first, first + len(found)))


def feed(sequence: Sequence, data: bytes, cuts: list[int]) -> None:
    start = 0
    for cut in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
        if cut > start:
            assert sequence.feed(data[start:cut]) == []
            start = cut


def deliveries(numbers: list[int]) -> bytes:
    return b"".join(delivery(tag, number.to_bytes(8) + b"tail") for tag, number in enumerate(numbers, 1))


@given(st.integers(1, 700), st.integers(1, 2**40), st.lists(st.integers(0, 60_000), max_size=12))
def test_what_is_in_order_is_counted_however_it_is_cut(count: int, first: int, cuts: list[int]) -> None:
    sequence = Sequence(first)
    feed(sequence, deliveries(list(range(first, first + count))), cuts)
    assert (sequence.count, sequence.disorders) == (count, 0)


@pytest.mark.parametrize(
    ("numbers", "disorders"), [([1, 2, 4, 5], 1), ([1, 1, 2], 1), ([2, 1, 3], 3), ([1, 2, 3, 2, 3, 4], 1), ([2, 3], 1)]
)
def test_what_is_lost_repeated_or_moved_is_out_of_order(numbers: list[int], disorders: int) -> None:
    for cuts in ([], [70], list(range(0, 400, 7))):
        sequence = Sequence()
        feed(sequence, deliveries(numbers), cuts)
        assert (sequence.count, sequence.disorders) == (len(numbers), disorders)


def test_other_words_than_deliveries_are_told() -> None:
    sequence = Sequence()
    sequence.feed(deliveries([1, 2]))
    with pytest.raises(Interrupted, match=r"basic\.cancel"):
        sequence.feed(BasicCancel(consumer_tag="c1").frame(1))
    with pytest.raises(Interrupted, match="carries no number"):
        Sequence().feed(delivery(1, b"short"))
    with pytest.raises(Interrupted):
        Sequence().feed(deliveries([1]) + delivery(2, bytes(13)) * 3)
