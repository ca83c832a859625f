"""The two kinds of refusal that AMQP 0-9-1 knows, with their reply codes from birth.

Decides how a refusal is named and which text RabbitMQ would send. It must not know who raises it. `ChannelException`
closes one channel, `ConnectionException` the whole connection (AMQP 0-9-1 section 1.5, constants); both are raised
where the fact is known and put on the wire in one place, the session. A bug of ours is neither: it climbs.
"""

REPLY_TEXTS = {
    311: "CONTENT_TOO_LARGE",
    312: "NO_ROUTE",
    313: "NO_CONSUMERS",
    320: "CONNECTION_FORCED",
    402: "INVALID_PATH",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    506: "RESOURCE_ERROR",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}


class AmqpException(Exception):
    """A refusal with a reply code; `text` is what the client reads, `NAME - why` as RabbitMQ writes it."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(code, why)
        self.code = code
        self.why = why

    @property
    def text(self) -> str:
        """The reply text, at most 255 bytes; a longer one ends with dots."""
        full = f"{REPLY_TEXTS[self.code]} - {self.why}"
        raw = full.encode("utf-8", "surrogateescape")  # a client's own bytes may stand in it
        if len(raw) <= 255:
            return full
        return raw[:252].decode("utf-8", "ignore") + "..."


class ChannelException(AmqpException):
    """Closes the channel on which it happened."""


class ConnectionException(AmqpException):
    """Closes the connection on which it happened."""
