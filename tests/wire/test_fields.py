import struct
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.wire.fields import DEPTH_MAX, Long, Timestamp, decode_table, encode_table
from broker.wire.malformed import Malformed

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.floats(allow_nan=False),
    names,
    st.binary(max_size=20),
    st.integers(0, 2**64 - 1).map(Timestamp),
    st.builds(lambda digits, scale: Decimal(digits).scaleb(-scale), st.integers(0, 2**32 - 1), st.integers(0, 20)),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
tables = st.dictionaries(names, values, max_size=5)


@given(tables)
def test_what_goes_in_comes_out(table):
    data = encode_table(table)
    assert decode_table(b"xx" + data + b"yy", 2) == (table, len(data) + 2)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_malformed(data):
    with suppress(Malformed):
        table, end = decode_table(data)
        assert end <= len(data)
        assert isinstance(table, dict)


@pytest.mark.parametrize(
    "field",
    [
        b"b\xff",
        b"B\xff",
        b"s\xff\xfe",
        b"u\xff\xfe",
        b"I\xff\xff\xff\xff",
        b"i\0\0\0\1",
        b"l" + bytes(7) + b"\5",
        b"f\x3f\x80\0\0",
        b"d\x3f\xf0\0\0\0\0\0\0",
        b"T" + bytes(7) + b"\5",
        b"A\0\0\0\2b\5",
        b"F\0\0\0\5\1ns\0\1",
    ],
)
def test_what_is_written_again_keeps_its_type(field):
    data = struct.pack(">I", len(field) + 2) + b"\x01k" + field
    assert encode_table(decode_table(data, exact=True)[0]) == data


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"t\x05", True),
        (b"b\xff", -1),
        (b"B\xff", 255),
        (b"s\xff\xfe", -2),
        (b"u\xff\xfe", 65534),
        (b"I\xff\xff\xff\xff", -1),
        (b"i\xff\xff\xff\xff", 2**32 - 1),
        (b"l" + b"\xff" * 8, Long(-1)),
        (b"L" + b"\xff" * 8, -1),
        (b"f\x3f\x80\0\0", 1.0),
        (b"d\x3f\xf0\0\0\0\0\0\0", 1.0),
        (b"D\2\0\0\0\x7b", Decimal("1.23")),
        (b"S\0\0\0\2hi", "hi"),
        (b"S\0\0\0\1\xff", "\udcff"),
        (b"x\0\0\0\1\xff", b"\xff"),
        (b"T" + bytes(7) + b"\5", 5),
        (b"V", None),
        (b"A\0\0\0\3V\x74\1", [None, True]),
        (b"F\0\0\0\3\1aV", {"a": None}),
    ],
)
def test_every_type_that_rabbitmq_reads(field, value):
    data = struct.pack(">I", len(field) + 2) + b"\1k" + field
    table, _ = decode_table(data)
    assert table == {"k": value}
    assert type(table["k"]) is Timestamp if field[:1] == b"T" else type(table["k"]) is type(value)


def test_the_letter_chosen_for_a_value():
    values = [1, 2**31, Long(1), Timestamp(1), "a", b"a", 1.5, None, True, {}, [], Decimal(1)]
    assert b"".join(encode_table({"k": value})[6:7] for value in values) == b"IllTSxdVtFAD"


@pytest.mark.parametrize("value", [2**63, object(), Decimal("-1"), Decimal("NaN"), {"k" * 256: 1}])
def test_what_no_field_carries_is_refused(value):
    with pytest.raises(ValueError, match=r"field|range"):
        encode_table({"k": value})


def test_bottomless_nesting_is_refused():
    value = None
    for _ in range(DEPTH_MAX + 2):
        value = [value]
    with pytest.raises(Malformed, match="deep"):
        decode_table(encode_table({"k": value}))
