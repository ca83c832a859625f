"""Field tables and arrays (AMQP 0-9-1 section 4.2.5, with the type letters that RabbitMQ uses instead of the paper's).

Decides how a Python value looks in a table and back. It must not know what any table means. Text is `S` both ways
(bytes that are not UTF-8 survive as surrogates), bytes are `x`; integers choose `I` or `l` by size unless they are
`Sized` or `Timestamp`; a float is `d` unless it is `Single`, a Decimal `D`, None `V`. Who has to write again what he
read asks for numbers that remember their type (`exact`).
"""

import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from broker.wire.malformed import Malformed

Table = dict[str, Any]

DEPTH_MAX = 64
"""Tables and arrays inside one another; deeper ones are refused before the interpreter's own limit."""


class Timestamp(int):
    """Seconds since 1970; a table writes it as `T`."""


class Sized(int):
    """An integer that a table writes in one width, however small it is."""

    letter = b"I"
    form = struct.Struct(">i")


class Long(Sized):
    """64 bits, as RabbitMQ counts in x-death."""

    letter = b"l"
    form = struct.Struct(">q")


class Byte(Sized):
    """8 bits with a sign."""

    letter, form = b"b", struct.Struct(">b")


class UnsignedByte(Sized):
    """8 bits."""

    letter, form = b"B", struct.Struct(">B")


class Short(Sized):
    """16 bits with a sign."""

    letter, form = b"s", struct.Struct(">h")


class UnsignedShort(Sized):
    """16 bits."""

    letter, form = b"u", struct.Struct(">H")


class UnsignedInt(Sized):
    """32 bits."""

    letter, form = b"i", struct.Struct(">I")


class Single(float):
    """A float that a table writes with 32 bits."""


_Numbers = dict[int, tuple[struct.Struct, Callable[[Any], Any]]]

_NUMBERS: _Numbers = {
    ord(letter): (struct.Struct(">" + code), convert)
    for letter, code, convert in (
        ("t", "B", bool),
        ("b", "b", int),
        ("B", "B", int),
        ("s", "h", int),
        ("u", "H", int),
        ("I", "i", int),
        ("i", "I", int),
        ("l", "q", Long),
        ("L", "q", int),
        ("f", "f", float),
        ("d", "d", float),
        ("T", "Q", Timestamp),
    )
}
_EXACT_NUMBERS: _Numbers = {
    **_NUMBERS,
    **{ord(kind.letter): (kind.form, kind) for kind in (Long, Byte, UnsignedByte, Short, UnsignedShort, UnsignedInt)},
    ord("L"): (Long.form, Long),
    ord("f"): (struct.Struct(">f"), Single),
}
_LENGTH = struct.Struct(">I")
_DECIMAL = struct.Struct(">BI")


def decode_table(data: bytes, offset: int = 0, *, exact: bool = False) -> tuple[Table, int]:
    """The table whose length word stands at `offset`, and the offset behind it. Raises Malformed (502)."""
    try:
        return _table(data, offset, 0, _EXACT_NUMBERS if exact else _NUMBERS)
    except (struct.error, IndexError) as error:
        raise Malformed(502, "field table ends too early") from error


def encode_table(table: Mapping[str, Any]) -> bytes:
    """The table with its length word. Raises ValueError for a value that no field type can carry."""
    parts = []
    for key, value in table.items():
        name = key.encode("utf-8", "surrogateescape")
        if len(name) > 255:
            raise ValueError(f"field name of {len(name)} bytes: {key[:40]!r}...")
        parts.append(bytes((len(name),)) + name + _encode_value(value))
    body = b"".join(parts)
    return _LENGTH.pack(len(body)) + body


def _bytes(data: bytes, offset: int, length: int) -> tuple[bytes, int]:
    end = offset + length
    if end > len(data):
        raise IndexError
    return data[offset:end], end


def _table(data: bytes, offset: int, depth: int, numbers: _Numbers) -> tuple[Table, int]:
    offset, end = _span(data, offset, depth)
    table: Table = {}
    while offset < end:
        name, offset = _bytes(data, offset + 1, data[offset])
        table[name.decode("utf-8", "surrogateescape")], offset = _value(data, offset, depth, numbers)
    return table, _arrived(offset, end)


def _array(data: bytes, offset: int, depth: int, numbers: _Numbers) -> tuple[list[Any], int]:
    offset, end = _span(data, offset, depth)
    array = []
    while offset < end:
        value, offset = _value(data, offset, depth, numbers)
        array.append(value)
    return array, _arrived(offset, end)


def _span(data: bytes, offset: int, depth: int) -> tuple[int, int]:
    if depth > DEPTH_MAX:
        raise Malformed(502, f"field tables nested more than {DEPTH_MAX} deep")
    (length,) = _LENGTH.unpack_from(data, offset)
    end = offset + 4 + length
    if end > len(data):
        raise IndexError
    return offset + 4, end


def _arrived(offset: int, end: int) -> int:
    if offset != end:
        raise Malformed(502, "field value runs over the end of its table")
    return end


def _value(data: bytes, offset: int, depth: int, numbers: _Numbers) -> tuple[Any, int]:
    letter = data[offset]
    offset += 1
    if number := numbers.get(letter):
        form, convert = number
        return convert(form.unpack_from(data, offset)[0]), offset + form.size
    if letter in b"Sx":
        raw, offset = _bytes(data, offset + 4, _LENGTH.unpack_from(data, offset)[0])
        return (raw.decode("utf-8", "surrogateescape") if letter == 83 else raw), offset
    if letter in b"F":
        return _table(data, offset, depth + 1, numbers)
    if letter in b"A":
        return _array(data, offset, depth + 1, numbers)
    if letter in b"D":
        scale, digits = _DECIMAL.unpack_from(data, offset)
        return Decimal(digits).scaleb(-scale), offset + 5
    if letter in b"V":
        return None, offset
    raise Malformed(502, f"unknown field type {chr(letter)!r}")


def _encode_value(value: Any) -> bytes:
    match value:
        case bool():
            return b"t\x01" if value else b"t\x00"
        case str():
            raw = value.encode("utf-8", "surrogateescape")
            return b"S" + _LENGTH.pack(len(raw)) + raw
        case int():
            return _encode_int(value)
        case float():
            return b"f" + struct.pack(">f", value) if isinstance(value, Single) else b"d" + struct.pack(">d", value)
        case None:
            return b"V"
        case bytes() | bytearray():
            return b"x" + _LENGTH.pack(len(value)) + value
        case Mapping():
            return b"F" + encode_table(value)
        case list() | tuple():
            body = b"".join(map(_encode_value, value))
            return b"A" + _LENGTH.pack(len(body)) + body
        case Decimal():
            return _encode_decimal(value)
    raise ValueError(f"no field type carries {value!r}")


def _encode_int(value: int) -> bytes:
    if isinstance(value, Timestamp):
        return b"T" + struct.pack(">Q", value)
    if isinstance(value, Sized):
        return value.letter + value.form.pack(value)
    if -(2**31) <= value < 2**31:
        return b"I" + struct.pack(">i", value)
    if -(2**63) <= value < 2**63:
        return b"l" + struct.pack(">q", value)
    raise ValueError(f"integer out of range: {value}")


def _encode_decimal(value: Decimal) -> bytes:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"no field type carries {value!r}")
    scale = max(0, -exponent)
    digits = int(value.scaleb(scale))
    if scale > 255 or not 0 <= digits < 2**32:
        raise ValueError(f"decimal out of range: {value}")
    return b"D" + _DECIMAL.pack(scale, digits)
