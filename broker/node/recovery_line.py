"""One line of a recovery file: a message with all that belongs to it, where it stood, and why it is not there any more.

Decides how a message looks in such a file, so that the very same one can be made of it again: properties keep their
types, headers too, and a body that is no text is base64. It must not know files.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from typing import Any

from broker.cluster.arguments import from_json
from broker.vhosts.aside import Loss
from broker.vhosts.by_hand import FRAME_MAX
from broker.vhosts.portrait import RAW, decode_body, encode_body, shown_properties
from broker.wire.content import assemble, body_of
from broker.wire.malformed import Malformed
from broker.wire.message import Run, make_address, split_address
from broker.wire.properties import Properties, property_bytes, traits_of_properties

_NAMES = [field.name for field in fields(Properties)]
_TEXTS = ("vhost", "queue", "exchange", "key", "body", "encoding", "why")
_NUMBERS = ("queue_id", "term", "position", "stamp_ms")
_KINDS = {**dict.fromkeys(_TEXTS, str), **dict.fromkeys(_NUMBERS, int), "properties": dict}
"""What has to be in a line, for whoever lists, shows or replays it."""


class NotALine(Exception):
    """This is no message of a recovery file."""


def lines_of(loss: Loss, runs: list[Run], node: str, stamp_ms: int) -> Iterator[bytes]:
    """The messages of these runs. `stamp_ms`: when they are set aside."""
    for run in runs:
        exchange, key = split_address(run.address)
        for position, content in enumerate(run.contents, run.first):
            line = {
                "vhost": loss.vhost,
                "queue": loss.queue,
                "exchange": exchange,
                "key": key,
                "properties": _properties_of(content),
                **encode_body(body_of(content)),
                "redelivered": run.redelivered,
                "published_ms": run.stamp_ms,
                "queue_id": loss.queue_id,
                "term": _owner(loss, position),
                "position": position,
                "node": node,
                "stamp_ms": stamp_ms,
                "why": loss.why,
            }
            yield json.dumps(line, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The message in a line. Raises NotALine."""
    try:
        message = json.loads(line)
    except ValueError:
        raise NotALine("it is no JSON") from None
    if not isinstance(message, dict):
        raise NotALine("it is no object")
    for name, kind in _KINDS.items():
        if not isinstance(message.get(name), kind):
            raise NotALine(f"its {name} is {message[name]!r}" if name in message else f"it has no {name}")
    return message


def encode(message: dict[str, Any]) -> bytes:
    """The reverse of decode."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def place(message: dict[str, Any]) -> tuple[int, int, int]:
    """Where the message stood: the same message has the same place on every node."""
    return message["queue_id"], message["term"], message["position"]


def run_of(message: dict[str, Any]) -> Run:
    """The message itself, as if it were published again. Raises NotALine."""
    try:
        content = content_of(message)
        return Run(
            [content], make_address(message["exchange"], message["key"]), traits_of_properties(property_bytes(content))
        )
    except (ValueError, KeyError, TypeError, AttributeError, Malformed) as error:
        raise NotALine(f"{error!r}") from error


def content_of(message: dict[str, Any]) -> bytes:
    """Its properties and its body, as they came from its publisher."""
    given = message["properties"]
    if RAW in given:
        encoded = base64.b64decode(given[RAW])
    else:
        encoded = Properties(**{name: from_json(given[name]) for name in _NAMES if name in given}).encode()
    return assemble(1, encoded, decode_body(message), FRAME_MAX)


def _properties_of(content: bytes) -> dict[str, Any]:
    """Such that the very same bytes can be made of them."""
    raw = property_bytes(content)
    with suppress(Malformed):
        if Properties.decode(raw).encode() == raw:
            return shown_properties(content)
    return {RAW: base64.b64encode(raw).decode()}


def _owner(loss: Loss, position: int) -> int:
    """The term under which the position was written."""
    return max((term for term, first in loss.terms if first <= position), default=0)
