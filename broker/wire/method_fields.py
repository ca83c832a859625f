"""How the arguments of an AMQP method look in bytes (AMQP 0-9-1 section 4.2.5), and the register of methods.

Decides the coding of each argument type. It must not know any method: `methods.py` lists them, one class each, whose
annotations name the types. Everything here is for the cold path; publishes, deliveries and acknowledgements are read
and written as bytes elsewhere.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeVar, dataclass_transform, get_type_hints

from broker.wire.fields import Table, decode_table, encode_table
from broker.wire.malformed import Malformed, erlang_binary

Octet = Annotated[int, "octet"]
Short = Annotated[int, "short"]
Word = Annotated[int, "word"]
LongLong = Annotated[int, "longlong"]
Bit = Annotated[bool, "bit"]
ShortString = Annotated[str, "shortstring"]
LongString = Annotated[bytes, "longstring"]
Arguments = Annotated[Table, "table"]

_NUMBERS = {
    "octet": struct.Struct(">B"),
    "short": struct.Struct(">H"),
    "word": struct.Struct(">I"),
    "longlong": struct.Struct(">Q"),
}
_LENGTH = struct.Struct(">I")


def two_strings_fit(payload: bytes, at: int, tail_bytes: int) -> bool:
    """Whether two short strings begin at `at`, and behind them there are just so many bytes."""
    try:
        second = at + 1 + payload[at]
        return second + 1 + payload[second] + tail_bytes == len(payload)
    except IndexError:
        return False


class Method:
    """One method of the protocol; its attributes are the arguments in the order of the wire."""

    __slots__ = ()

    class_id: ClassVar[int]
    method_id: ClassVar[int]
    name: ClassVar[str]
    """As RabbitMQ writes it in texts: `queue.declare_ok`."""
    arguments_in_order: ClassVar[tuple[tuple[str, str], ...]]

    def encode(self) -> bytes:
        """The arguments in bytes, without class and method number."""
        parts: list[bytes] = []
        bits: list[bool] = []
        for name, kind in self.arguments_in_order:
            value = getattr(self, name)
            if kind == "bit":
                bits.append(value)
                continue
            _flush(bits, parts)
            parts.append(_encode(kind, value))
        _flush(bits, parts)
        return b"".join(parts)

    def frame(self, channel: int) -> bytes:
        """The whole method frame on the given channel."""
        payload = self.encode()
        head = struct.pack(">BHIHH", 1, channel, len(payload) + 4, self.class_id, self.method_id)
        return head + payload + b"\xce"

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """The method whose arguments are the whole payload. Raises Malformed (501; 502 in a table)."""
        values: list[Any] = []
        offset = bit = 0
        try:
            for _, kind in cls.arguments_in_order:
                if kind == "bit":
                    values.append(bool(payload[offset] >> bit & 1))
                    bit += 1
                    continue
                if bit:
                    offset, bit = offset + 1, 0
                value, offset = _decode(kind, payload, offset)
                values.append(value)
        except (struct.error, IndexError) as error:
            raise Malformed(501, f"cannot decode {erlang_binary(payload[:64])}") from error
        if offset + (bit > 0) != len(payload):
            raise Malformed(501, f"cannot decode {erlang_binary(payload[:64])}")
        return cls(*values)


_M = TypeVar("_M", bound=Method)

METHODS: dict[tuple[int, int], type[Method]] = {}
"""Class and method number -> the method."""


@dataclass_transform()
def method(class_id: int, method_id: int) -> Callable[[type[_M]], type[_M]]:
    """Enter a class into the register; its annotations become the arguments."""

    def enter(cls: type[_M]) -> type[_M]:
        made = dataclass(slots=True)(cls)
        words = re.findall("[A-Z][a-z]*", cls.__name__)
        made.class_id, made.method_id = class_id, method_id
        made.name = words[0].lower() + "." + "_".join(words[1:]).lower()
        hints = get_type_hints(cls, include_extras=True)
        made.arguments_in_order = tuple((name, hints[name].__metadata__[0]) for name in cls.__annotations__)
        METHODS[class_id, method_id] = made
        return made

    return enter


def _flush(bits: list[bool], parts: list[bytes]) -> None:
    if bits:
        parts.append(bytes((sum(bit << place for place, bit in enumerate(bits)),)))
        bits.clear()


def _encode(kind: str, value: Any) -> bytes:
    if number := _NUMBERS.get(kind):
        return number.pack(value)
    if kind == "table":
        return encode_table(value)
    raw: bytes = value.encode("utf-8", "surrogateescape") if kind == "shortstring" else value
    return (bytes((len(raw),)) if kind == "shortstring" else _LENGTH.pack(len(raw))) + raw


def _decode(kind: str, payload: bytes, offset: int) -> tuple[Any, int]:
    if number := _NUMBERS.get(kind):
        return number.unpack_from(payload, offset)[0], offset + number.size
    if kind == "table":
        if offset + 4 + _LENGTH.unpack_from(payload, offset)[0] > len(payload):
            raise IndexError
        return decode_table(payload, offset, exact=True)
    if kind == "shortstring":
        start = offset + 1
        end = start + payload[offset]
    else:
        start = offset + 4
        end = start + _LENGTH.unpack_from(payload, offset)[0]
    if end > len(payload):
        raise IndexError
    return (_text(payload[start:end]) if kind == "shortstring" else payload[start:end]), end


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Malformed(501, "Malformed UTF-8 in shortstr") from error
