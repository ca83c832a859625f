"""How a client introduces itself (AMQP 0-9-1 section 4.2.2 and class connection), checked as RabbitMQ 3.10 does.

Decides what a protocol header, a login and negotiated limits must look like. It must not know users: it only takes a
name and a password out of the mechanism's bytes.
"""

from collections.abc import Mapping
from typing import Any

from broker.amqp.errors import ConnectionException
from broker.wire.fields import decode_table
from broker.wire.malformed import Malformed
from broker.wire.methods import ConnectionTuneOk

PROTOCOL_HEADER = b"AMQP\0\0\x09\x01"
MECHANISMS = ("PLAIN", "AMQPLAIN")
"""What a client is offered unless the server knows better."""
INITIAL_FRAME_MAX = 4096
"""Until limits are negotiated; also the least a client may ask for."""


class Limits:
    """What the server offers in connection.tune; `heartbeat_s` 0 = none, the others 0 = no limit."""

    __slots__ = ("channel_max", "frame_max", "heartbeat_s", "message_bytes_max")

    def __init__(
        self,
        *,
        channel_max: int = 2047,
        frame_max: int = 131072,
        heartbeat_s: int = 60,
        message_bytes_max: int = 128 * 1024 * 1024,
    ) -> None:
        self.channel_max = channel_max
        self.frame_max = frame_max
        self.heartbeat_s = heartbeat_s
        self.message_bytes_max = message_bytes_max


def read_login(mechanism: str, response: bytes) -> tuple[str, str]:
    """User and password, both empty if something else says who it is.

    Raises ConnectionException: 503 for an unknown mechanism, 502 for bytes it does not have.
    """
    if mechanism == "PLAIN":
        parts = response.split(b"\0")
        if len(parts) != 3 or parts[0]:
            raise ConnectionException(502, "response invalid")
        return _text(parts[1]), _text(parts[2])
    if mechanism == "AMQPLAIN":
        return _amqplain(response)
    if mechanism == "EXTERNAL":  # whatever it says, its certificate has said who it is
        return "", ""
    raise ConnectionException(503, f"unknown authentication mechanism '{mechanism}'")


def _amqplain(response: bytes) -> tuple[str, str]:
    try:
        table, _ = decode_table(len(response).to_bytes(4, "big") + response)
    except Malformed as error:
        raise ConnectionException(502, error.why) from error
    user, password = table.get("LOGIN"), table.get("PASSWORD")
    if not isinstance(user, str) or password is None:
        raise ConnectionException(502, "AMQPLAIN auth info is missing LOGIN or PASSWORD field")
    return user, password if isinstance(password, str) else ""  # which fits nobody


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def read_capabilities(client_properties: Mapping[str, Any]) -> frozenset[str]:
    """The capabilities that the client says it has."""
    capabilities = client_properties.get("capabilities")
    if not isinstance(capabilities, dict):
        return frozenset()
    return frozenset(name for name, value in capabilities.items() if value is True)


def check_tune(answer: ConnectionTuneOk, limits: Limits) -> None:
    """Raises ConnectionException (530) if the client asks for more than was offered, or for too little."""
    _check("frame_max", answer.frame_max, INITIAL_FRAME_MAX, limits.frame_max)
    _check("channel_max", answer.channel_max, 1, limits.channel_max)


def _check(field: str, asked: int, least: int, offered: int) -> None:
    detail = " (no limit)" if field == "channel_max" and not asked else ""
    if asked and asked < least:
        raise ConnectionException(
            530, f"negotiated {field} = {asked}{detail} is lower than the minimum allowed value ({least})"
        )
    if offered and (not asked or asked > offered):
        raise ConnectionException(
            530, f"negotiated {field} = {asked}{detail} is higher than the maximum allowed value ({offered})"
        )
