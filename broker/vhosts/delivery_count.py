"""The header `x-delivery-count`: how often a message of a quorum queue was given back before this delivery.

Decides how a run says so to its readers; the queue's own messages stay as they came. It must not know who counts.
Source: RabbitMQ 3.10, `rabbit_fifo_client`.
"""

from collections.abc import Mapping
from typing import Any

from broker.wire.content import body_of, make_content
from broker.wire.fields import Long
from broker.wire.malformed import Malformed
from broker.wire.message import Run
from broker.wire.properties import Properties
from policies.quorum import is_quorum

HEADER = "x-delivery-count"

_FRAME_MAX = 131072  # what most clients negotiate: then a delivery needs no new frames


def counted(run: Run) -> Run:
    """The run as its readers see it."""
    shown = run.cut(0, len(run.contents))
    shown.contents = [_counted(content, run.returned) for content in run.contents]
    return shown


def as_got(run: Run, arguments: Mapping[str, Any]) -> Run:
    """The run as basic.get shows it: of a quorum queue always with its count, 0 as well. `arguments`: the queue's."""
    return counted(run) if is_quorum(arguments) else run


def _counted(content: bytes, times: int) -> bytes:
    try:
        properties = Properties.of(content)
    except Malformed:  # headers are not looked at when a message comes in; its body still arrives
        return content
    properties.headers = {**(properties.headers or {}), HEADER: Long(times)}
    return make_content(int.from_bytes(content[1:3], "big"), properties, body_of(content), _FRAME_MAX)
