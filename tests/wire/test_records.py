"""Records: what was written is what is read, and nothing else is ever taken for a record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.wire.content import bodies_size_of, make_content
from broker.wire.message import Run, Traits, make_address
from broker.wire.properties import Properties
from broker.wire.records import (
    Batch,
    Drop,
    Gone,
    Hole,
    Mark,
    Opening,
    Origin,
    Outline,
    Publish,
    Record,
    Returned,
    Settle,
    Term,
    Volatile,
    decode,
    decode_publish,
    encode,
    encode_publish,
    skim,
)
from broker.wire.sealed import HEAD_BYTES, DamagedRecord, TornRecord, UnknownRecord, skip

numbers = st.integers(0, 2**64 - 1)
texts = st.text(max_size=40)
ranges = st.lists(st.tuples(numbers, numbers), max_size=5)
traits = st.builds(
    Traits,
    persistent=st.booleans(),
    priority=st.integers(0, 255),
    expiration_ms=st.none() | numbers,
    has_headers=st.booleans(),
    user_id=st.none() | texts,
)
contents = st.lists(st.binary(max_size=30), min_size=1, max_size=8) | st.builds(
    lambda content, count: [content] * count, st.binary(max_size=30), st.integers(1, 8)
)


@st.composite
def runs(draw):
    origin = draw(st.none() | texts)
    return Run(
        draw(contents),
        make_address(draw(texts), draw(texts)),
        draw(traits),
        first=draw(numbers),
        stamp_ms=draw(numbers),
        redelivered=draw(st.booleans()),
        origin=origin,
        sequence=0 if origin is None else draw(numbers),
        returned=draw(st.just(0) | st.integers(0, 2**32 - 1)),
    )


records = st.one_of(
    st.builds(Publish, numbers, numbers, runs()),
    st.builds(Volatile, numbers, numbers, runs()),
    st.builds(Settle, numbers, numbers, ranges),
    st.builds(Term, numbers, numbers, numbers),
    st.builds(Mark, numbers, numbers, st.integers(0, 255), numbers),
    st.builds(Hole, numbers, numbers, ranges),
    st.builds(Origin, numbers, numbers, texts, numbers, ranges),
    st.builds(Drop, numbers, numbers),
    st.builds(Returned, numbers, numbers, st.lists(st.tuples(numbers, numbers, st.integers(0, 2**32 - 1)), max_size=5)),
    st.builds(Opening, numbers, ranges),
    st.builds(Batch, numbers, numbers),
    st.builds(Gone, numbers),
)


def same(left: Record, right: Record) -> bool:
    """Equality by value, also for runs, which compare by identity."""
    if not (isinstance(left, Publish | Volatile) and type(left) is type(right)):
        return left == right
    return (left.queue_id, left.term) == (right.queue_id, right.term) and all(
        getattr(left.run, name) == getattr(right.run, name) for name in Run.__slots__
    )


@given(st.lists(records, max_size=5))
def test_what_was_written_is_read(written):
    data, offset, read = b"".join(map(encode, written)), 0, []
    while offset < len(data):
        record, offset = decode(data, offset)
        read.append(record)
    assert len(read) == len(written)
    assert all(map(same, read, written))


@given(records, st.binary(max_size=10))
def test_a_record_is_found_anywhere_in_any_buffer(record, before):
    data = encode(record)
    for buffer in (before + data, bytearray(before + data), memoryview(before + data)):
        found, end = decode(buffer, len(before))
        assert end == len(buffer)
        assert same(found, record)


@given(records, st.data())
def test_a_record_that_lacks_its_end_is_torn(record, data):
    whole = encode(record)
    with pytest.raises(TornRecord):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(records, st.data())
def test_a_changed_bit_is_never_read(record, data):
    broken = bytearray(encode(record))
    bit = data.draw(st.integers(0, 8 * len(broken) - 1))
    broken[bit // 8] ^= 1 << bit % 8
    for read in (decode, skim):
        with pytest.raises((DamagedRecord, TornRecord)):
            read(broken)


@given(st.binary(max_size=3 * HEAD_BYTES))
def test_noise_is_no_record(noise):
    with pytest.raises((DamagedRecord, TornRecord)):
        decode(noise)


@given(numbers, numbers, runs())
def test_skimming_a_run_gives_its_outline(queue_id, term, run):
    data = encode_publish(queue_id, term, run)
    outline, end = skim(data)
    assert end == len(data)
    assert isinstance(outline, Outline)
    assert bodies_size_of(run) == outline.body_bytes
    outline.body_bytes = 0
    traits = run.traits
    assert outline == Outline(
        queue_id,
        term,
        run.first,
        len(run.contents),
        run.origin,
        run.sequence,
        traits.priority,
        traits.expiration_ms is not None,
    )


@pytest.mark.parametrize("bodies", [[b""], [b"one"], [b"one", b"two"], [b"one", b"fourteen"]])
def test_an_outline_says_how_long_the_bodies_are(bodies):
    contents = [make_content(1, Properties(priority=3), body, 4096) for body in bodies]
    run = Run(contents, b"\0\1q", Traits(priority=3), first=5, origin="n1/2/3", sequence=7)
    data = encode_publish(1, 1, run)
    outline, _ = skim(data)
    assert isinstance(outline, Outline)
    assert outline.body_bytes == sum(map(len, bodies)), "all have one body frame, or none"
    assert skip(data, 0) == (Publish.KIND, 1, len(data))
    with pytest.raises(DamagedRecord):
        skip(data, 1)
    with pytest.raises(TornRecord):
        skip(data, len(data) - 3)


@given(records.filter(lambda record: not isinstance(record, Publish | Volatile)))
def test_skimming_anything_else_reads_it(record):
    data = encode(record)
    assert skim(data) == (record, len(data))


@pytest.mark.parametrize("kind", [0, 99])
def test_a_sound_record_of_an_unknown_kind_says_that_it_is_newer(kind, monkeypatch):
    monkeypatch.setattr(Drop, "KIND", kind)
    with pytest.raises(UnknownRecord, match=f"version 1 and kind {kind}"):
        decode(encode(Drop(1)))


def test_a_sound_record_whose_body_contradicts_itself_is_damaged(monkeypatch):
    monkeypatch.setattr(Drop, "KIND", Settle.KIND)
    for read in (decode, skim):
        with pytest.raises(DamagedRecord, match="makes no sense"):
            read(encode(Drop(1)))


def test_a_run_shares_the_traits_of_others_like_it():
    run = Run([b"x"], make_address("", "q"), Traits(persistent=True, priority=3))
    first, second = (decode(encode_publish(1, 1, run))[0] for _ in range(2))
    assert isinstance(first, Publish)
    assert isinstance(second, Publish)
    assert first.run.traits is second.run.traits


def test_the_format_stays_what_it_is():
    """The bytes on people's disks: a change here needs a new version number and code that reads the old one."""
    run = Run([b"one", b"two"], make_address("x", "k"), Traits(persistent=True), first=7, stamp_ms=8)
    assert encode_publish(5, 6, run) == bytes.fromhex(
        "d7570101 dc6f5ccd 00000042 0000000000000005 000000000000"
        "0006 0000000000000007 0000000000000008 01 00 00000002 00000003 0000 0178016b 6f6e65 74776f"
    )
    assert encode(Settle(5, 6, [(7, 9)])) == bytes.fromhex(
        "d7570102 dc96510d 00000030 0000000000000005 0000000000000006 00000001 0000000000000007 0000000000000009"
    )


def test_messages_are_not_taken_from_another_record():
    with pytest.raises(DamagedRecord, match="Drop at 0"):
        decode_publish(encode(Drop(1, 2)))
