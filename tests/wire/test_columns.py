import pytest

from broker.wire.columns import column_into, is_column, tags_into


@pytest.mark.parametrize("first", [0, 1, 200, 65000, 65535, 65536, 2**32 - 5, 2**40 + 7])
@pytest.mark.parametrize("count", [0, 1, 2, 300, 70000])
def test_tags_are_consecutive_in_every_frame(first, count):
    frames = bytearray(b"ab" + first.to_bytes(8, "big") + b"c") * count
    tags_into(frames, 2, 11, first, count)
    assert frames == b"".join(b"ab%bc" % tag.to_bytes(8, "big") for tag in range(first, first + count))


def test_a_column_is_read_and_written():
    frames = bytearray(b"x__y") * 3
    assert is_column(frames, 1, 4, b"__", 3)
    column_into(frames, 1, 4, b"\1\2", 3)
    assert frames == b"x\1\2y" * 3
    frames[9] = 7
    assert not is_column(frames, 1, 4, b"\1\2", 3)
