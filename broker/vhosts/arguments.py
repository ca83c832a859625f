"""Whether the x-arguments of a declaration make sense, with RabbitMQ's words when they do not.

Decides types and ranges only. It must not know what an argument does; unknown ones are the client's own and pass.
Source: RabbitMQ 3.10, `rabbit_amqqueue:declare_args` and `rabbit_exchange`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from broker.amqp.errors import ChannelException
from broker.vhosts.queue_types import check_known, check_known_to_consumers, type_of, type_with
from broker.wire.field_terms import type_name
from broker.wire.fields import Timestamp
from policies.keys import LOCATORS
from policies.quorum import LEADER_LOCATORS

if TYPE_CHECKING:
    from broker.vhosts.client import Client

Check = Callable[[Any, dict[str, Any]], str | None]

PRIORITY_MAX = 255
STRATEGIES = ("at-most-once", "at-least-once")
MODES = ("default", "lazy")
OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")


EXPIRY_MS_MAX = 315_360_000_000
"""Ten years; RabbitMQ takes no longer time."""


def _integer(value: Any) -> str | None:
    if isinstance(value, bool | Timestamp) or not isinstance(value, int):
        return f'"expected integer, got {type_name(value)}"'
    return None


def _count(value: Any, _: dict[str, Any]) -> str | None:
    return _integer(value) or (f"{{value_negative,{value}}}" if value < 0 else None)


def _positive(value: Any, arguments: dict[str, Any]) -> str | None:
    return _count(value, arguments) or (None if value else "{value_zero,0}")


def _priority_max(value: Any, arguments: dict[str, Any]) -> str | None:
    return _count(value, arguments) or (f"{{max_value_exceeded,{value}}}" if value > PRIORITY_MAX else None)


def _time(value: Any, arguments: dict[str, Any]) -> str | None:
    return _count(value, arguments) or (f"{{value_too_large,{value}}}" if value > EXPIRY_MS_MAX else None)


def _time_of_life(value: Any, arguments: dict[str, Any]) -> str | None:
    return _positive(value, arguments) or _time(value, arguments)


def _version(value: Any, arguments: dict[str, Any]) -> str | None:
    return _count(value, arguments) or (None if value in (1, 2) else f"\"unsupported queue version '{value}'\"")


def _text(value: Any, _: dict[str, Any]) -> str | None:
    return None if isinstance(value, str) else f"{{unacceptable_type,{type_name(value)}}}"


def _boolean(value: Any, _: dict[str, Any]) -> str | None:
    return None if isinstance(value, bool) else f"{{unacceptable_type,{type_name(value)}}}"


def _dead_letter_key(value: Any, arguments: dict[str, Any]) -> str | None:
    missing = None if "x-dead-letter-exchange" in arguments else "routing_key_but_no_dlx_defined"
    return _text(value, arguments) or missing


def _overflow(value: Any, arguments: dict[str, Any]) -> str | None:
    return _text(value, arguments) or (None if value in OVERFLOWS else "invalid_overflow")


def _queue_mode(value: Any, arguments: dict[str, Any]) -> str | None:
    return _text(value, arguments) or (None if value in MODES else f"\"unsupported queue mode '{value}'\"")


def _locator(*words: str) -> Check:
    def check(value: Any, arguments: dict[str, Any]) -> str | None:
        return _text(value, arguments) or (None if value in words else "invalid_queue_locator_arg")

    return check


def _strategy(value: Any, arguments: dict[str, Any]) -> str | None:
    return _text(value, arguments) or (None if value in STRATEGIES else "invalid_dlx_strategy")


QUEUE_CHECKS: dict[str, Check] = {
    "x-expires": _time_of_life,
    "x-message-ttl": _time,
    "x-dead-letter-exchange": _text,
    "x-dead-letter-routing-key": _dead_letter_key,
    "x-dead-letter-strategy": _strategy,
    "x-max-length": _count,
    "x-max-length-bytes": _count,
    "x-max-in-memory-length": _count,
    "x-max-in-memory-bytes": _count,
    "x-max-priority": _priority_max,
    "x-overflow": _overflow,
    "x-queue-mode": _queue_mode,
    "x-queue-version": _version,
    "x-single-active-consumer": _boolean,
    "x-quorum-initial-group-size": _positive,
    "x-queue-leader-locator": _locator(*LEADER_LOCATORS),
    "x-queue-master-locator": _locator(*LOCATORS),
}
"""In RabbitMQ's order: the first that is wrong is the one that a client hears of."""

CONSUMER_CHECKS: dict[str, Check] = {
    "x-priority": lambda value, _: _integer(value),
    "x-cancel-on-ha-failover": _boolean,
}


def check_queue_arguments(client: "Client", name: str, arguments: dict[str, Any]) -> None:
    """Raise 406 for an argument that cannot be obeyed, 403 for a dead letter exchange the user may not write to."""
    resource = f"queue '{name}' in vhost '{client.vhost}'"
    _check_exchange(client, "x-dead-letter-exchange", "queue", name, arguments)
    kind = type_of(resource, arguments)
    _check(resource, QUEUE_CHECKS, kind.arguments, arguments)
    check_known(resource, kind, arguments)


def check_consumer_arguments(resource: str, queue_arguments: Mapping[str, Any], arguments: dict[str, Any]) -> None:
    """Raise 406 for an argument of basic.consume that cannot be obeyed."""
    kind = type_with(queue_arguments)
    _check(resource, CONSUMER_CHECKS, kind.consumer_arguments, arguments)
    check_known_to_consumers(resource, kind, arguments)


def check_exchange_arguments(client: "Client", name: str, arguments: dict[str, Any]) -> None:
    """Raise 406 for an alternate exchange that is no name, 403 for one the user may not write to."""
    _check_exchange(client, "alternate-exchange", "exchange", name, arguments)


def _check(resource: str, checks: dict[str, Check], taken: frozenset[str], arguments: dict[str, Any]) -> None:
    for argument, check in checks.items():
        why = check(arguments[argument], arguments) if argument in arguments and argument in taken else None
        if why is not None:
            raise ChannelException(406, f"invalid arg '{argument}' for {resource}: {why}")


def _check_exchange(
    client: "Client", argument: str, kind: Literal["exchange", "queue"], name: str, arguments: dict[str, Any]
) -> None:
    """Where messages go by themselves the user must be allowed to send them."""
    if argument not in arguments:
        return
    exchange = arguments[argument]
    if not isinstance(exchange, str):
        resource = f"{kind} '{name}' in vhost '{client.vhost}'"
        raise ChannelException(406, f"invalid type '{type_name(exchange)}' for arg '{argument}' in {resource}")
    access = client.access(client.vhost)
    access.check("read", kind, name)
    access.check("write", "exchange", exchange)
