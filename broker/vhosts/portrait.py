"""How a message looks: to people, to commands, and in files.

Decides what is text and what is base64, how much of a large body is shown, and what stands for properties that nobody
can read. It must not know where messages come from.
"""

import base64
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from broker.cluster.arguments import to_json
from broker.wire.content import body_of, body_size
from broker.wire.malformed import Malformed
from broker.wire.message import split_address
from broker.wire.properties import Properties, property_bytes

if TYPE_CHECKING:
    from broker.wire.message import Run

RAW: Final = "raw"
"""In place of properties that nobody could read: their bytes."""
_MEMO_MAX = 256


def shown(run: "Run", index: int, body_bytes_max: int | None = None) -> dict[str, Any]:
    """One message of a run; `truncated` if its body is longer than that."""
    exchange, key = split_address(run.address)
    content = run.contents[index]
    body = body_of(content)
    portrait = {
        **encode_body(body),
        "exchange": exchange,
        "key": key,
        "redelivered": run.redelivered,
        "properties": shown_properties(content),
    }
    if body_bytes_max is not None:
        portrait |= encode_body(_beginning(body, body_bytes_max))
        portrait |= {"body_bytes": body_size(content), "truncated": len(body) > body_bytes_max}
    return portrait


def shown_properties(content: bytes) -> dict[str, Any]:
    """What its publisher gave; what JSON has no type for as `to_json` says it."""
    raw = property_bytes(content)
    try:
        properties = Properties.decode(raw)
    except Malformed:  # headers are not looked at when a message comes in
        return {RAW: base64.b64encode(raw).decode()}
    return {name: to_json(value) for name, value in properties.given().items()}


def encode_body(body: bytes) -> dict[str, str]:
    """A body as text, or as base64 if it is none."""
    try:
        return {"body": body.decode(), "encoding": "utf8"}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "encoding": "base64"}


def decode_body(body: dict[str, str]) -> bytes:
    """The reverse of encode_body."""
    return base64.b64decode(body["body"]) if body["encoding"] == "base64" else body["body"].encode()


class Pattern:
    """A text that is looked for in messages: in the body, the exchange, the routing key, the properties and in names of
    headers."""

    def __init__(self, text: str) -> None:
        """Raises UnicodeError for halves of characters."""
        self._text = text
        self._bytes = text.encode("utf-8", "surrogateescape")

    def is_in(self, run: "Run", index: int) -> bool:
        """Whether it occurs in this message."""
        content = run.contents[index]
        return (
            self._bytes in body_of(content)
            or any(self._text in name for name in split_address(run.address))
            or self._text in _spelled(property_bytes(content))
        )


@lru_cache(maxsize=_MEMO_MAX)
def _spelled(raw: bytes) -> str:
    """The values of properties as people write them, a line each."""
    try:
        return "\n".join(str(value) for value in Properties.decode(raw).given().values())
    except Malformed:
        return ""


def _beginning(body: bytes, bytes_max: int) -> bytes:
    """Not more than so much, and of a text no half of a character."""
    if len(body) <= bytes_max:
        return body
    beginning = body[:bytes_max]
    try:
        beginning.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return beginning[: error.start]
    return beginning
