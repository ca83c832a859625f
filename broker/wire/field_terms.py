"""Field values as RabbitMQ's reply texts name and print them: types by its names, values as Erlang terms.

Decides only words. It must not know which texts they stand in. An integer that has not kept its width counts as what
most clients send for it.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from broker.wire.fields import Byte, Long, Short, Single, Sized, Timestamp, UnsignedByte, UnsignedInt, UnsignedShort
from broker.wire.malformed import erlang_binary

_WIDTHS: dict[type[Sized], str] = {
    Byte: "byte",
    UnsignedByte: "unsignedbyte",
    Short: "short",
    UnsignedShort: "unsignedshort",
    UnsignedInt: "unsignedint",
    Long: "long",
}


def type_name(value: Any) -> str:
    """The field type of a value (`rabbit_binary_parser`)."""
    match value:
        case bool():
            return "bool"
        case Timestamp():
            return "timestamp"
        case Sized():
            return _WIDTHS[type(value)]
        case int():
            return "signedint" if -(1 << 31) <= value < 1 << 31 else "long"
        case str():
            return "longstr"
        case bytes() | bytearray():
            return "binary"
        case float():
            return "float" if isinstance(value, Single) else "double"
        case Decimal():
            return "decimal"
        case None:
            return "void"
        case list() | tuple():
            return "array"
    return "table"


def printed(value: Any) -> str:
    """A value as `~p` prints it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return erlang_binary(value.encode("utf-8", "surrogateescape"))
        case bytes() | bytearray():
            return erlang_binary(bytes(value))
        case Decimal():
            scale = max(0, -int(value.as_tuple().exponent))
            return f"{{{scale},{int(value.scaleb(scale))}}}"
        case None:
            return "undefined"
        case list() | tuple():
            return "[" + ",".join(f"{{{type_name(item)},{printed(item)}}}" for item in value) + "]"
        case Mapping():
            items = (f"{{{printed(name)},{type_name(item)},{printed(item)}}}" for name, item in value.items())
            return "[" + ",".join(items) + "]"
    return str(value)
