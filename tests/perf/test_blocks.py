"""A block is nothing but well-formed publishes, stamped where a body has room."""

import struct

import pytest

from broker.perf.blocks import BLOCK_BYTES, Block
from broker.wire.basic_methods import BasicPublish
from broker.wire.content import body_of


def messages_of(data: bytes) -> list[tuple[BasicPublish, bytes]]:
    """Taken apart frame by frame, the boring way."""
    frames = []
    while data:
        kind, _, size = struct.unpack_from(">BHI", data)
        frames.append((kind, data[: size + 8]))
        assert data[size + 7] == 0xCE
        data = data[size + 8 :]
    found: list[tuple[BasicPublish, bytes]] = []
    for kind, frame in frames:
        if kind == 1:
            found.append((BasicPublish.decode(frame[11:-1]), b""))
        else:
            found[-1] = (found[-1][0], found[-1][1] + frame)
    return [(method, body_of(content)) for method, content in found]


def test_equal_messages_fill_about_64_kib_and_are_all_stamped() -> None:
    block = Block([("", "perf.1")], [12], 131072)
    view, count = block.take(10**6, 77)
    assert count == block.count
    assert BLOCK_BYTES * 0.9 < len(view) <= BLOCK_BYTES
    found = messages_of(bytes(view))
    assert len(found) == count
    assert {(m.exchange, m.routing_key, body) for m, body in found} == {("", "perf.1", (77).to_bytes(8) + bytes(4))}


def test_takes_go_on_where_the_last_one_ended_and_stamp_only_themselves() -> None:
    block = Block([("x", "a"), ("x", "b")], [8], 131072)
    view, count = block.take(3, 1)
    first = bytes(view)
    assert count == 3
    view, count = block.take(10**6, 2)
    assert [m.routing_key for m, _ in messages_of(first)] == ["a", "b", "a"]
    rest = messages_of(bytes(view))
    assert count == block.count - 3 == len(rest)
    assert rest[0][0].routing_key == "b"
    assert {body for _, body in rest} == {(2).to_bytes(8)}
    view, _ = block.take(1, 3)
    assert messages_of(bytes(view)) == [(BasicPublish(exchange="x", routing_key="a"), (3).to_bytes(8))]


def test_sizes_are_cycled_through_and_small_bodies_have_no_stamp() -> None:
    block = Block([("", "q")], [4, 0, 300], 131072)
    view, _ = block.take(6, 5)
    assert [body for _, body in messages_of(bytes(view))] == [bytes(4), b"", (5).to_bytes(8) + bytes(292)] * 2


@pytest.mark.parametrize("size", [65536, 200_000])
def test_a_body_longer_than_a_frame_is_cut(size: int) -> None:
    block = Block([("", "q")], [size], 4096, persistent=True)
    assert block.count == 1
    view, count = block.take(5, 9)
    ((_, body),) = messages_of(bytes(view))
    assert count == 1
    assert body == (9).to_bytes(8) + bytes(size - 8)
