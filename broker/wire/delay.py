"""The header `x-delay`: for how long an exchange of the kind x-delayed-message holds a message back.

Decides what counts as a delay, and how a message says that it has waited. It must not know who holds it. Source: the
community plugin rabbitmq_delayed_message_exchange 3.10, `rabbit_delayed_message_utils`. There, a text that is no number
ends the connection with an internal error; here it means no delay, as any other value without meaning.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from broker.wire.content import assemble, body_of
from broker.wire.fields import Timestamp
from broker.wire.properties import Properties, headers_of

HEADER = "x-delay"

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}")
_DELAY_MAX_MS = 2**32 - 1  # longer ones are none: Erlang has no such timers
_FRAME_MAX = 131072  # what most clients negotiate: then a delivery needs no new frames


def delay_ms(headers: Mapping[str, Any]) -> int:
    """How long a message with these headers is to be held back; 0: not at all."""
    if HEADER not in headers:
        return 0
    delay = _integer(headers[HEADER])
    return delay if 0 < delay <= _DELAY_MAX_MS else 0


def delay_of(content: bytes) -> int:
    """The delay of a content that was held back."""
    return delay_ms(headers_of(content))


def passed(content: bytes) -> tuple[bytes, dict[str, Any]]:
    """The content as it goes on when its delay has passed, `x-delay` negated (no further exchange holds it back), and
    the headers that decide where it goes: BCC is among these and, as readers must not see it, not in the content."""
    properties = Properties.of(content)
    headers = dict(properties.headers or {})
    headers[HEADER] = -delay_ms(headers)
    properties.headers = {name: value for name, value in headers.items() if name != "BCC"}
    new = assemble(int.from_bytes(content[1:3], "big"), properties.encode(), body_of(content), _FRAME_MAX)
    return new, headers


def _integer(value: Any) -> int:
    match value:
        case bool() | Timestamp():
            return 0
        case int():
            return value
        case str():
            return int(value) if _NUMBER.fullmatch(value) else 0
        case float() | Decimal():
            return int(value) if 0 < value <= _DELAY_MAX_MS else 0
    return 0
