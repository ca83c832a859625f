"""Finds runs in received bytes: messages or acknowledgements of one size that differ only where they may.

Decides how long such a run is, with a few C calls for a whole block of it, never one step of the interpreter per
message. It must not know channels or state; whatever is no run it leaves to the general parser in `frames.py`, which
is also the judge in the tests: both must see the same.
"""

import struct
from collections.abc import Callable
from functools import lru_cache

from broker.wire.columns import tags_into

ACK_SIZE = 21
"""Bytes of a basic.ack frame."""

_BLOCK_MAX = 512
_TAG_MAX = 2**63


def repeats(data: bytes, at: int, head: int, stride: int) -> int:
    """How many further messages follow the one at `at`: every `stride` bytes, with its first `head` bytes.

    Each must lie whole in `data` and end with the frame-end octet.
    """
    pattern = data[at : at + head]
    start = at + stride

    def same(index: int, block: int) -> bool:
        here = start + index * stride
        if block == 1:
            return data.startswith(pattern, here)
        heads = _picker(0, head, stride - head, block).unpack_from(data, here)
        return heads == (pattern,) * block

    return _ended(data, start, stride, _gallop((len(data) - start) // stride, same))


def pick(data: bytes, at: int, skip: int, take: int, count: int) -> list[bytes]:
    """`count` slices of `take` bytes, each behind `skip` bytes, one after the other from `at` on."""
    stride = skip + take
    found: list[bytes] = []
    block = _BLOCK_MAX
    while count:
        while block > count:
            block //= 8
        if block == 1:
            found += [data[start + skip : start + stride] for start in range(at, at + count * stride, stride)]
            break
        found += _picker(skip, take, 0, block).unpack_from(data, at)
        at += block * stride
        count -= block
    return found


def acknowledged(data: bytes, at: int, tag: int) -> int:
    """How many frames like the basic.ack at `at` follow it, with the tags tag + 1, tag + 2, …"""
    frame = data[at : at + ACK_SIZE]
    start = at + ACK_SIZE
    if tag >= _TAG_MAX:
        return 0

    def same(index: int, block: int) -> bool:
        first = tag + index + 1
        expected = bytearray(frame[:11] + first.to_bytes(8, "big") + frame[19:]) * block
        tags_into(expected, 11, ACK_SIZE, first, block)
        return data.startswith(expected, start + index * ACK_SIZE)

    return _gallop((len(data) - start) // ACK_SIZE, same)


def deliveries(data: bytes, at: int, front: int, head: int, stride: int, tag: int) -> int:
    """As `repeats`, for deliveries: behind `front` bytes stands the tag, which must go up by one each time."""
    before, behind = data[at : at + front], data[at + front + 8 : at + head]
    start = at + stride

    def same(index: int, block: int) -> bool:
        form = _delivery_picker(front, len(behind), stride - head, block)
        found = form.unpack_from(data, start + index * stride)
        first = tag + index + 1
        return (
            found[0::3] == (before,) * block
            and found[2::3] == (behind,) * block
            and found[1::3] == tuple(range(first, first + block))
        )

    return _ended(data, start, stride, _gallop((len(data) - start) // stride, same))


def _gallop(room: int, same: Callable[[int, int], bool]) -> int:
    """The number of items from the first on that are the same.

    Blocks grow eightfold while they match and shrink when they do not: a long run costs a few comparisons, no run
    costs one.
    """
    count, block, growing = 0, 1, True
    while count < room:
        if block <= room - count and same(count, block):
            count += block
            if growing and block < _BLOCK_MAX:
                block *= 8
        elif block == 1:
            break
        else:
            block //= 8
            growing = False
    return count


def _ended(data: bytes, start: int, stride: int, count: int) -> int:
    """The number of messages up to the first that does not end with the frame-end octet."""
    ends = data[start + stride - 1 : start + count * stride : stride]
    return count - len(ends.lstrip(b"\xce"))


@lru_cache(maxsize=256)
def _picker(skip: int, take: int, rest: int, count: int) -> struct.Struct:
    return struct.Struct(f"{skip}x{take}s{rest}x" * count)


@lru_cache(maxsize=64)
def _delivery_picker(front: int, back: int, rest: int, count: int) -> struct.Struct:
    return struct.Struct(">" + f"{front}sQ{back}s{rest}x" * count)
