"""Arguments in JSON and back, and when two declarations mean the same."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.cluster.arguments import QUEUE_ARGUMENTS, check_arguments, from_json, to_json, to_plain
from broker.cluster.refusal import Refused
from broker.wire.fields import Byte, Long, Single, Timestamp, UnsignedInt

SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.integers(0, 2**40).map(Timestamp),
    st.integers(0, 2**40).map(Long),
    st.integers(-128, 127).map(Byte),
    st.floats(allow_nan=False).map(Single),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
)
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


def typed(value):
    """The value with the types of everything in it: Long(1) is not 1."""
    if isinstance(value, dict):
        return {name: typed(item) for name, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else (type(value), value)


@given(st.dictionaries(st.text(), VALUE, max_size=4))
def test_any_table_survives_json(table):
    assert typed(from_json(json.loads(json.dumps(to_json(table))))) == typed(table)


def test_a_table_that_looks_like_a_tag_stays_a_table():
    for table in (
        {"$": "nothing known", "value": 1},
        {"$": "bytes"},
        {"$": 7, "value": 1},
        {"$": "Long", "x": 1},
        {"$": "Long", "value": 1},
        {"$": "Long", "value": "no number"},
        {"$": "table", "value": 1},
        {"$": "table", "value": {"$": "Long", "value": Long(1)}},
    ):
        assert typed(from_json(to_json({"a": table}))) == typed({"a": table})
        assert to_plain({"a": table}) == {"a": table}


ABSENT = object()


def compare(present, given, name="x-max-length"):
    tables = [{} if value is ABSENT else {name: to_json(value)} for value in (present, given)]
    check_arguments("queue 'q' in vhost '/'", QUEUE_ARGUMENTS, *tables)


@pytest.mark.parametrize(
    ("present", "given"), [(5, 5), (5, Long(5)), (Byte(5), 5), (1.5, Single(1.5)), ("a", "a"), (None, None)]
)
def test_the_same_whatever_the_width(present, given):
    compare(present, given)


@pytest.mark.parametrize(
    ("present", "given", "text"),
    [
        (5, 6, "received '6' but current is '5'"),
        (1, True, "received 'true' but current is '1'"),
        (1, 1.0, "received '1.0' but current is '1'"),
        (3, Timestamp(3), "received '3' but current is '3'"),
        (5, None, "received none but current is '5'"),
        (ABSENT, None, "received the value 'undefined' of type 'void' but current is none"),
        (5, ABSENT, "received none but current is the value '5' of type 'signedint'"),
        (ABSENT, 2**40, "received the value '1099511627776' of type 'long' but current is none"),
        (ABSENT, Byte(5), "received the value '5' of type 'byte' but current is none"),
        (ABSENT, UnsignedInt(5), "received the value '5' of type 'unsignedint' but current is none"),
        (ABSENT, Single(1.5), "received the value '1.5' of type 'float' but current is none"),
        (ABSENT, Long(5), "received the value '5' of type 'long' but current is none"),
        (ABSENT, True, "received the value 'true' of type 'bool' but current is none"),
        (ABSENT, 1.5, "received the value '1.5' of type 'double' but current is none"),
        (ABSENT, b"a", "of type 'binary' but current is none"),
        (ABSENT, Decimal("1.5"), "received the value '{1,15}' of type 'decimal' but current is none"),
        (ABSENT, [1], "of type 'array' but current is none"),
        (ABSENT, {"a": 1}, "of type 'table' but current is none"),
    ],
)
def test_another_value_is_told_as_rabbitmq_does(present, given, text):
    with pytest.raises(Refused) as caught:
        compare(present, given)
    assert caught.value.code == "inequivalent"
    assert text in caught.value.why


def test_a_classic_queue_need_not_say_so():
    compare(ABSENT, "classic", "x-queue-type")
    compare("classic", ABSENT, "x-queue-type")
    with pytest.raises(Refused):
        compare(ABSENT, "quorum", "x-queue-type")
    with pytest.raises(Refused):
        compare(ABSENT, "classic", "x-queue-mode")


def test_other_arguments_do_not_count():
    compare(1, 2, "x-my-own")
