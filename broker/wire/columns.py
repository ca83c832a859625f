"""Changes one field in every frame of a run at once: octet i of all frames is a column, and a column is one slice.

Decides how consecutive delivery tags and channel numbers are laid over a run of frames of one size. It must not know
what the frames are.
"""

_LOW = bytes(range(256)) * 257
"""Octet 0 of the numbers 0, 1, 2, …"""

_HIGH = b"".join(bytes((high,)) * 256 for high in range(256))
"""Octet 1 of the numbers 0 to 65535."""


def tags_into(frames: bytearray, at: int, stride: int, first: int, count: int) -> None:
    """Number `count` frames of `stride` bytes: at offset `at` all of them hold the 64-bit `first`, of which the
    second frame makes first + 1, the third first + 2, and so on.
    """
    done = 0
    while done < count:
        tag = first + done
        low = tag & 0xFFFF
        part = min(count - done, 0x10000 - low)
        begin, end = at + done * stride, (done + part) * stride
        frames[begin + 7 : end : stride] = _LOW[low & 0xFF : (low & 0xFF) + part]
        frames[begin + 6 : end : stride] = _HIGH[low : low + part]
        if done:  # beyond a multiple of 65536: the other octets have changed too
            for place, octet in enumerate((tag >> 16).to_bytes(6, "big")):
                frames[begin + place : end : stride] = bytes((octet,)) * part
        done += part


def is_column(frames: bytearray, at: int, stride: int, value: bytes, count: int) -> bool:
    """Whether each of `count` frames of `stride` bytes holds `value` at offset `at`."""
    end = count * stride
    return all(frames[at + place : end : stride] == value[place : place + 1] * count for place in range(len(value)))


def column_into(frames: bytearray, at: int, stride: int, value: bytes, count: int) -> None:
    """Write `value` at offset `at` of `count` frames of `stride` bytes."""
    end = count * stride
    for place in range(len(value)):
        frames[at + place : end : stride] = value[place : place + 1] * count
