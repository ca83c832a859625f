"""The properties of a message (AMQP 0-9-1 section 1.8.1), decoded only when someone asks.

Decides how the property bytes of a content header look and which of them a queue must know (`Traits`). It must not
know what anybody does with them. A content is the header frame and the body frames as they stood on the wire.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from broker.wire.fields import Table, Timestamp, decode_table, encode_table
from broker.wire.malformed import Malformed
from broker.wire.message import Traits

PROPERTIES_AT = 19
"""Offset of the property flags within a content."""

EXPIRATION_INVALID = -1
"""`Traits.expiration_ms` of a message whose expiration is no number of milliseconds from 0 on."""

REPLY_TO = "amq.rabbitmq.reply-to"
"""As reply-to of a message: whoever answers shall reach the publisher's channel directly (`Traits.asks_reply`)."""

_SIZE = struct.Struct(">I")
_HEADERS, _DELIVERY_MODE, _PRIORITY, _REPLY_TO, _EXPIRATION, _USER_ID = 0x2000, 0x1000, 0x0800, 0x0200, 0x0100, 0x0010
_REPLY_HERE = REPLY_TO.encode()
_KNOWN = 0xFFFC
_TRANSIENT, _PERSISTENT = 1, 2
_EXPIRATION_MAX = 2**62
_MEMO_MAX = 1024
_MEMO_KEY_BYTES_MAX = 512


@dataclass(slots=True)
class Properties:
    """All fourteen; None where the publisher gave none. `timestamp` is in seconds since 1970."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Table | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None

    def encode(self) -> bytes:
        """Flags and values, as they stand in a content header."""
        flags, parts = 0, []
        for flag, name, kind in _FIELDS:
            value = getattr(self, name)
            if value is None:
                continue
            flags |= flag
            if kind == "text":
                raw = value.encode("utf-8", "surrogateescape")
                parts.append(bytes((len(raw),)) + raw)
            elif kind == "octet":
                parts.append(bytes((value,)))
            else:
                parts.append(encode_table(value) if kind == "table" else struct.pack(">Q", value))
        return flags.to_bytes(2, "big") + b"".join(parts)

    def given(self) -> dict[str, Any]:
        """Those that there are, by name; `dataclasses.asdict` copies every table in them, which takes twenty times as
        long."""
        return {name: value for _, name, _ in _FIELDS if (value := getattr(self, name)) is not None}

    @classmethod
    def decode(cls, data: bytes) -> "Properties":
        """The properties whose flags and values are the whole of `data`. Raises Malformed (502)."""
        return cls(**_decode(data, _KNOWN))

    @classmethod
    def of(cls, content: bytes) -> "Properties":
        """The properties of a content. Raises Malformed (502)."""
        return cls.decode(property_bytes(content))


_FIELDS = (
    (0x8000, "content_type", "text"),
    (0x4000, "content_encoding", "text"),
    (_HEADERS, "headers", "table"),
    (_DELIVERY_MODE, "delivery_mode", "octet"),
    (_PRIORITY, "priority", "octet"),
    (0x0400, "correlation_id", "text"),
    (_REPLY_TO, "reply_to", "text"),
    (_EXPIRATION, "expiration", "text"),
    (0x0080, "message_id", "text"),
    (0x0040, "timestamp", "time"),
    (0x0020, "type", "text"),
    (_USER_ID, "user_id", "text"),
    (0x0008, "app_id", "text"),
    (0x0004, "cluster_id", "text"),
)
_NAMES = {flag: name for flag, name, _ in _FIELDS}


def property_bytes(content: bytes) -> bytes:
    """Flags and values of a content's properties, undecoded."""
    return content[PROPERTIES_AT : 7 + _SIZE.unpack_from(content, 3)[0]]


def headers_of(content: bytes) -> Table:
    """The headers table of a content, {} if it has none. Raises Malformed (502)."""
    headers: Table = _decode(property_bytes(content), _HEADERS).get("headers", {})
    return headers


_memo: dict[bytes, Traits] = {}
_interned: dict[tuple[int, int, int | None, bool, str | None, bool, bool], Traits] = {}


def traits_of(content: bytes) -> Traits:
    """What a queue must know of a content's properties; equal traits are one object, mostly.

    Raises Malformed (502).
    """
    return traits_of_properties(property_bytes(content))


def traits_of_properties(data: bytes) -> Traits:
    """The traits of undecoded properties. Raises Malformed (502)."""
    traits = _memo.get(data)
    if traits is None:
        traits = _traits(data)
        if len(data) <= _MEMO_KEY_BYTES_MAX:
            if len(_memo) >= _MEMO_MAX:
                _memo.clear()
            _memo[data] = traits
    return traits


def _traits(data: bytes) -> Traits:
    mode, priority, expiration, user_id, asks_reply, headers_at = _cared_for(data)
    expiration_ms = None if expiration is None else _milliseconds(expiration)
    selected = headers_at > 0 and _is_sender_selected(data, headers_at)
    key = mode, priority, expiration_ms, headers_at > 0, user_id, asks_reply, selected
    traits = _interned.get(key)
    if traits is None:
        if len(_interned) >= _MEMO_MAX:
            _interned.clear()
        traits = _interned[key] = Traits(
            persistent=mode == _PERSISTENT,
            priority=priority,
            expiration_ms=expiration_ms,
            has_headers=key[3],
            user_id=user_id,
            asks_reply=asks_reply,
            sender_selected=selected,
            unknown_mode=-1 if mode in (_TRANSIENT, _PERSISTENT) else mode,
        )
    return traits


def _is_sender_selected(data: bytes, headers_at: int) -> bool:
    """Whether a publish has to look at these headers, also to refuse them: elsewhere they are not read."""
    try:
        headers, _ = decode_table(data, headers_at)
    except Malformed:
        return True
    return "CC" in headers or "BCC" in headers


def _cared_for(data: bytes) -> tuple[int, int, str | None, str | None, bool, int]:
    """Delivery mode, priority, expiration, user, whether replies are asked for, and where the headers begin (0: there
    are none), in one walk over the lengths."""
    mode, priority = _TRANSIENT, 0
    headers_at = 0
    expiration = user_id = None
    asks_reply = False
    try:
        flags = data[0] << 8 | data[1]
        offset = 2
        for flag, kind in _plan(flags):
            if kind == "text":
                start = offset + 1
                offset = start + data[offset]
                if flag == _EXPIRATION:
                    expiration = data[start:offset].decode("utf-8", "surrogateescape")
                elif flag == _USER_ID:
                    user_id = data[start:offset].decode("utf-8", "surrogateescape")
                elif flag == _REPLY_TO:
                    asks_reply = data[start:offset] == _REPLY_HERE
            elif kind == "octet":
                if flag == _PRIORITY:
                    priority = data[offset]
                else:
                    mode = data[offset]
                offset += 1
            elif kind == "time":
                offset += 8
            else:
                headers_at = offset
                offset += 4 + int.from_bytes(data[offset : offset + 4], "big")
    except IndexError as error:
        raise Malformed(502, "properties end too early") from error
    if offset != len(data):
        raise Malformed(502, "properties do not end where the content header does")
    return mode, priority, expiration, user_id, asks_reply, headers_at


def with_reply_to(content: bytes, reply_to: bytes) -> bytes:
    """The same content with another reply-to in place of the one it has."""
    start = _offset_of(content, _REPLY_TO)
    end = start + 1 + content[start]
    size = _SIZE.unpack_from(content, 3)[0] + len(reply_to) - content[start]
    own = bytes((len(reply_to),)) + reply_to
    return b"".join((content[:3], _SIZE.pack(size), content[7:start], own, content[end:]))


def _offset_of(content: bytes, wanted: int) -> int:
    """Where the value of a field stands in a content that has it."""
    offset = PROPERTIES_AT + 2
    for flag, kind in _plan(content[PROPERTIES_AT] << 8 | content[PROPERTIES_AT + 1]):
        if flag == wanted:
            break
        _, offset = _field(content, offset, kind, 0)
    return offset


@lru_cache(maxsize=256)
def _plan(flags: int) -> tuple[tuple[int, str], ...]:
    """Flag and kind of the fields that are there. Raises Malformed (502) for flags that mean nothing."""
    if flags & ~_KNOWN:
        raise Malformed(502, f"unknown property flags {flags:#06x}")
    return tuple((flag, kind) for flag, _, kind in _FIELDS if flags & flag)


def _milliseconds(expiration: str) -> int:
    digits = expiration.removeprefix("+")
    if digits.isascii() and digits.isdigit():
        return min(int(digits), _EXPIRATION_MAX)
    return EXPIRATION_INVALID


def _decode(data: bytes, wanted: int) -> dict[str, Any]:
    """The wanted fields of the properties by name; all others are stepped over, but must be there."""
    found: dict[str, Any] = {}
    try:
        offset = 2
        for flag, kind in _plan(data[0] << 8 | data[1]):
            value, offset = _field(data, offset, kind, flag & wanted)
            if flag & wanted:
                found[_NAMES[flag]] = value
    except (struct.error, IndexError) as error:
        raise Malformed(502, "properties end too early") from error
    if offset != len(data):
        raise Malformed(502, "properties do not end where the content header does")
    return found


def _field(data: bytes, offset: int, kind: str, wanted: int) -> tuple[Any, int]:
    if kind == "text":
        end = offset + 1 + data[offset]
        return data[offset + 1 : end].decode("utf-8", "surrogateescape") if wanted else None, end
    if kind == "octet":
        return data[offset], offset + 1
    if kind == "time":
        return Timestamp(struct.unpack_from(">Q", data, offset)[0]), offset + 8
    if wanted:
        return decode_table(data, offset, exact=True)
    return None, offset + 4 + _SIZE.unpack_from(data, offset)[0]
