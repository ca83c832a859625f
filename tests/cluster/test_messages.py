"""What members say survives the wire; anything else is refused and never half read."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.cluster.entries import Entry, Roll, Snapshot
from broker.cluster.messages import (
    Alive,
    Follow,
    Malformed,
    Marks,
    Proposals,
    Report,
    SnapshotPart,
    Status,
    decode,
    decode_snapshot,
    encode,
    encode_snapshot,
)

epochs = st.integers(0, 2**32 - 1)
zxids = st.integers(0, 2**64 - 1)
names = st.text(max_size=8)
floats = st.floats(allow_nan=False)
entries = st.builds(Entry, zxids, st.integers(1, 3), st.binary(max_size=20))
tables = st.dictionaries(names, names, max_size=3)
messages = st.one_of(
    st.builds(
        Status,
        st.sampled_from(["looking", "following", "leading"]),
        names,
        epochs,
        epochs,
        zxids,
        epochs,
        st.booleans(),
        names,
        names,
        tables,
        st.lists(names, max_size=3),
        st.lists(names, max_size=3),
    ),
    st.builds(
        Follow,
        epochs,
        st.booleans(),
        names,
        names,
        st.lists(st.tuples(epochs, zxids), max_size=3),
        floats,
        st.dictionaries(names, zxids),
    ),
    st.builds(Alive),
    st.builds(Proposals, epochs, zxids, st.lists(entries, max_size=4)),
    st.builds(SnapshotPart, epochs, zxids, zxids, zxids, st.binary(max_size=20)),
    st.builds(Report, epochs, zxids, zxids, zxids, zxids, floats),
    st.builds(Marks, epochs, zxids, zxids, zxids, zxids, floats),
)


@given(messages)
def test_a_message_comes_back_as_it_was(message: Status) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=60))
def test_nonsense_is_refused(data: bytes) -> None:
    try:
        message = decode(data)
    except Malformed:
        return
    encode(message)


@given(messages, st.data())
def test_a_message_cut_short_is_refused_or_reads_as_another(message: Status, data: st.DataObject) -> None:
    encoded = encode(message)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    with contextlib.suppress(Malformed):
        assert decode(cut) != message


def test_a_snapshot_comes_back_as_it_was() -> None:
    snapshot = Snapshot(7, ((1, 5), (2, 7)), Roll("c", "n1", {"n1": "f"}), b"\x00state")
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot
    for broken in (b"", b"\x00\x00\x00\x02{}", b"\xff\xff\xff\xff", encode_snapshot(snapshot)[:30]):
        with pytest.raises(Malformed):
            decode_snapshot(broken)
