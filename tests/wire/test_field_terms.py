"""Field values in RabbitMQ's words, as RabbitMQ 3.10.8 printed them in its refusals."""

from decimal import Decimal

import pytest

from broker.wire.field_terms import printed, type_name
from broker.wire.fields import Byte, Long, Short, Single, Timestamp, UnsignedByte, UnsignedInt, UnsignedShort


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (True, "bool", "true"),
        (5, "signedint", "5"),
        (2**40, "long", "1099511627776"),
        (Long(5), "long", "5"),
        (Byte(5), "byte", "5"),
        (UnsignedByte(5), "unsignedbyte", "5"),
        (Short(5), "short", "5"),
        (UnsignedShort(5), "unsignedshort", "5"),
        (UnsignedInt(5), "unsignedint", "5"),
        (Single(1.5), "float", "1.5"),
        (Timestamp(5), "timestamp", "5"),
        ("some", "longstr", '<<"some">>'),
        ("", "longstr", "<<>>"),
        ("٣", "longstr", '<<"٣">>'),
        ("…", "longstr", "<<226,128,166>>"),
        ('a"b\\c\n', "longstr", '<<"a\\"b\\\\c\\n">>'),
        (b"all", "binary", '<<"all">>'),
        (1.5, "double", "1.5"),
        (Decimal("1.5"), "decimal", "{1,15}"),
        (None, "void", "undefined"),
        ([1], "array", "[{signedint,1}]"),
        ({"a": 1, "b": [True]}, "table", '[{<<"a">>,signedint,1},{<<"b">>,array,[{bool,true}]}]'),
    ],
)
def test_names_and_terms(value, name, text):
    assert (type_name(value), printed(value)) == (name, text)
