"""Whether the x-arguments of a declaration make sense, with RabbitMQ's words when they do not.

Decides types and ranges only. It must not know what an argument does; unknown ones are the client's own and pass.
Source: RabbitMQ 3.10, `rabbit_amqqueue:declare_args` and `rabbit_exchange`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from broker.amqp.errors import ChannelException
from broker.vhosts.queue_types import check_known, type_of
from broker.wire.field_terms import type_name
from broker.wire.fields import Timestamp
from policies.keys import LOCATORS
from policies.quorum import LEADER_LOCATORS

if TYPE_CHECKING:
    from broker.vhosts.client import Client

Check = Callable[[Any, dict[str, Any]], str | None]

PRIORITY_MAX = 255
STRATEGIES = ("at-most-once", "at-least-once")
OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")


def _type_name(value: Any) -> str:
    names = ((bool, "bool"), (Timestamp, "timestamp"), (int, "long"), (str, "longstr"), (float, "double"))
    return next((name for kind, name in names if isinstance(value, kind)), "table")


def _integer(least: int, most: int | None = None) -> Check:
    def check(value: Any, _: dict[str, Any]) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return f"{{unacceptable_type,{_type_name(value)}}}"
        if value < 0:
            return f"{{value_negative,{value}}}"
        if value < least:
            return f"{{value_zero,{value}}}"
        return f"{{max_value_exceeded,{value}}}" if most is not None and value > most else None

    return check


def _text(value: Any, _: dict[str, Any]) -> str | None:
    return None if isinstance(value, str) else f"{{unacceptable_type,{_type_name(value)}}}"


def _boolean(value: Any, _: dict[str, Any]) -> str | None:
    return None if isinstance(value, bool) else f"{{unacceptable_type,{_type_name(value)}}}"


def _dead_letter_key(value: Any, arguments: dict[str, Any]) -> str | None:
    if "x-dead-letter-exchange" not in arguments:
        return "routing_key_but_no_dlx_defined"
    return _text(value, arguments)


def _overflow(value: Any, _: dict[str, Any]) -> str | None:
    return None if value in OVERFLOWS else "invalid_overflow"


def _queue_mode(value: Any, _: dict[str, Any]) -> str | None:
    return None if value in ("default", "lazy") else "invalid_queue_mode"


def _locator(*words: str) -> Check:
    def check(value: Any, arguments: dict[str, Any]) -> str | None:
        return _text(value, arguments) or (None if value in words else "invalid_queue_locator_arg")

    return check


def _strategy(value: Any, arguments: dict[str, Any]) -> str | None:
    return _text(value, arguments) or (None if value in STRATEGIES else "invalid_dlx_strategy")


QUEUE_CHECKS: dict[str, Check] = {
    "x-expires": _integer(1),
    "x-message-ttl": _integer(0),
    "x-dead-letter-exchange": _text,
    "x-dead-letter-routing-key": _dead_letter_key,
    "x-max-length": _integer(0),
    "x-max-length-bytes": _integer(0),
    "x-max-priority": _integer(0, PRIORITY_MAX),
    "x-overflow": _overflow,
    "x-queue-mode": _queue_mode,
    "x-queue-master-locator": _locator(*LOCATORS),
    "x-queue-leader-locator": _locator(*LEADER_LOCATORS),
    "x-quorum-initial-group-size": _integer(1),
    "x-max-in-memory-length": _integer(0),
    "x-max-in-memory-bytes": _integer(0),
    "x-dead-letter-strategy": _strategy,
    "x-single-active-consumer": _boolean,
}


def check_queue_arguments(client: "Client", name: str, arguments: dict[str, Any]) -> None:
    """Raise 406 for an argument that cannot be obeyed, 403 for a dead letter exchange the user may not write to."""
    resource = f"queue '{name}' in vhost '{client.vhost}'"
    kind = type_of(resource, arguments)
    for argument, check in QUEUE_CHECKS.items():
        if argument not in arguments or argument not in kind.arguments:
            continue
        why = check(arguments[argument], arguments)
        if why is not None:
            raise ChannelException(406, f"invalid arg '{argument}' for {resource}: {why}")
    check_known(resource, kind, arguments)
    if "x-dead-letter-exchange" in arguments:
        access = client.access(client.vhost)
        access.check("read", "queue", name)
        access.check("write", "exchange", arguments["x-dead-letter-exchange"])


def check_exchange_arguments(client: "Client", name: str, arguments: dict[str, Any]) -> None:
    """Raise 406 for an alternate exchange that is no name, 403 for one the user may not write to."""
    if "alternate-exchange" not in arguments:
        return
    alternate = arguments["alternate-exchange"]
    if not isinstance(alternate, str):
        kind, resource = type_name(alternate), f"exchange '{name}' in vhost '{client.vhost}'"
        raise ChannelException(406, f"invalid type '{kind}' for arg 'alternate-exchange' in {resource}")
    access = client.access(client.vhost)
    access.check("read", "exchange", name)
    access.check("write", "exchange", alternate)
