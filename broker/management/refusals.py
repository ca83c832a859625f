"""What the HTTP API says instead of success: status codes and RabbitMQ's two words of its error object.

Decides which refusal of the rooms below becomes which answer. It must not know the framework, nor any resource.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from broker.amqp.errors import REPLY_TEXTS, AmqpException
from broker.cluster.refusal import Refused


class Refusal(Exception):
    """An answer other than success: HTTP status, and the two words of RabbitMQ's error object."""

    def __init__(self, status: int, error: str, reason: Any) -> None:
        """`reason` is a text, or a list where RabbitMQ gives one."""
        super().__init__(reason)
        self.status = status
        self.error = error
        self.reason = reason


class NotFound(Refusal):
    """Neither a wrong path nor a missing object is told from the other."""

    def __init__(self) -> None:
        super().__init__(404, "Object Not Found", "Not Found")


class Unknown(Refusal):
    """Nobody has logged in."""

    def __init__(self) -> None:
        super().__init__(401, "not_authorized", "Not_Authorized")


class Forbidden(Refusal):
    """A known user without the right: 401 here, too, as RabbitMQ has it."""

    def __init__(self, reason: str) -> None:
        super().__init__(401, "not_authorised", reason)


class BadRequest(Refusal):
    """What was asked cannot be done, whoever asks."""

    def __init__(self, reason: Any) -> None:
        super().__init__(400, "bad_request", reason)


ACCESS_REFUSED = "Access refused."


def of_tree(refused: Refused) -> Refusal:
    """A refusal of the shared state."""
    if refused.code in ("not_found", "no_node"):
        return Refusal(404, "not_found", refused.why)
    if refused.code == "blocked":
        return Refusal(503, "unavailable", refused.why)
    return BadRequest(refused.why)


def of_declaration(refused: AmqpException) -> Refusal:
    """A refusal by the vhost, of something that RabbitMQ does for HTTP without a channel: the bare reason."""
    if refused.code in (403, 530):
        return Forbidden(ACCESS_REFUSED)
    return Refusal(404, "not_found", refused.why) if refused.code == 404 else BadRequest(refused.why)


def of_channel(refused: AmqpException) -> Refusal:
    """The same of something that it does over a channel: with the reply's name before the reason."""
    if refused.code in (403, 530):
        return Forbidden(ACCESS_REFUSED)
    if refused.code == 404:
        return Refusal(404, "not_found", refused.text)
    return BadRequest(f"{refused.code} {REPLY_TEXTS[refused.code]} - {refused.why}")


@contextmanager
def as_validation() -> Iterator[None]:
    """What the shared state refuses in here is wrong as a parameter is: RabbitMQ frames the reason."""
    try:
        yield
    except Refused as refused:
        raise BadRequest(f"Validation failed\n\n{refused.why}\n") from None
