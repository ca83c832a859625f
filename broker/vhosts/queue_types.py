"""The types of queues that a client may ask for: which arguments and properties each takes, in RabbitMQ's words.

Decides whether a declaration or a deletion suits the type. It must not know what an argument does, nor judge its value.
Source: RabbitMQ 3.10, `rabbit_queue_type` and the capabilities of its types.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from broker.amqp.errors import ChannelException, ConnectionException
from broker.wire.field_terms import type_name
from policies.quorum import QUORUM, is_quorum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.meters.traffic import QueueType as Counted

_COMMON = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-overflow",
    "x-single-active-consumer",
    "x-queue-type",
)


class QueueType(NamedTuple):
    """One type: its module in RabbitMQ, as texts name it, and the known arguments that it takes."""

    module: str
    arguments: frozenset[str]
    consumer_arguments: frozenset[str]


TYPES = {
    "classic": QueueType(
        "rabbit_classic_queue",
        frozenset((*_COMMON, "x-max-priority", "x-queue-mode", "x-queue-version", "x-queue-master-locator")),
        frozenset(("x-cancel-on-ha-failover", "x-priority", "x-credit")),
    ),
    QUORUM: QueueType(
        "rabbit_quorum_queue",
        frozenset(
            (
                *_COMMON,
                "x-dead-letter-strategy",
                "x-delivery-limit",
                "x-max-in-memory-bytes",
                "x-max-in-memory-length",
                "x-queue-leader-locator",
                "x-quorum-initial-group-size",
            )
        ),
        frozenset(("x-priority", "x-credit")),
    ),
}

_OF_STREAMS = frozenset(("x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size"))
KNOWN = frozenset[str]().union(_OF_STREAMS, *(one.arguments for one in TYPES.values()))
"""Arguments that mean something to some type; others are the client's own and pass."""
KNOWN_TO_CONSUMERS = frozenset(("x-stream-offset",)).union(*(one.consumer_arguments for one in TYPES.values()))
"""The same for consumers."""


def type_of(resource: str, arguments: "Mapping[str, Any]") -> QueueType:
    """The type that a declaration asks for. Raises 406 for one that is none, 540 for streams."""
    word = arguments.get("x-queue-type", "classic")
    if isinstance(word, str) and word in TYPES:
        return TYPES[word]
    if word == "stream":
        raise ConnectionException(540, f"{resource} of queue type 'stream': streams are not supported")
    why = f"{{unacceptable_type,{type_name(word)}}}"
    if isinstance(word, str):
        why = f"\"unsupported queue type '{word}'\""
    raise ChannelException(406, f"invalid arg 'x-queue-type' for {resource}: {why}")


def type_with(arguments: "Mapping[str, Any]") -> QueueType:
    """The type of a queue that was declared with these arguments."""
    return TYPES[QUORUM] if is_quorum(arguments) else TYPES["classic"]


def with_default_type(
    word: str, arguments: dict[str, Any], *, durable: bool, exclusive: bool, auto_delete: bool
) -> dict[str, Any]:
    """The arguments with the virtual host's type, if they name none and such a queue can be of it."""
    if not word or "x-queue-type" in arguments or (word == QUORUM and (not durable or exclusive or auto_delete)):
        return arguments
    return {**arguments, "x-queue-type": word}


def check_known(resource: str, kind: QueueType, arguments: "Mapping[str, Any]") -> None:
    """Raise 406 for an argument that only another type takes."""
    _check_foreign(resource, kind, KNOWN - kind.arguments, arguments)


def check_known_to_consumers(resource: str, kind: QueueType, arguments: "Mapping[str, Any]") -> None:
    """Raise 406 for an argument that only consumers of another type have."""
    _check_foreign(resource, kind, KNOWN_TO_CONSUMERS - kind.consumer_arguments, arguments)


def _check_foreign(resource: str, kind: QueueType, foreign: frozenset[str], arguments: "Mapping[str, Any]") -> None:
    for name in sorted(foreign.intersection(arguments)):
        raise ChannelException(406, f"invalid arg '{name}' for {resource} of queue type {kind.module}")


def check_nameless(arguments: "Mapping[str, Any]") -> None:
    """Raise 406 for a quorum queue whose name the server is to choose."""
    if is_quorum(arguments):
        raise ChannelException(406, f"Cannot declare a server-named queue for type {TYPES[QUORUM].module}")


def check_properties(
    resource: str, arguments: "Mapping[str, Any]", *, durable: bool, exclusive: bool, auto_delete: bool
) -> None:
    """Raise 406 for a property that a quorum queue cannot have: it is durable and belongs to nobody."""
    if not is_quorum(arguments):
        return
    wrong = {"auto-delete": auto_delete, "exclusive-owner": exclusive, "non-durable": not durable}
    for name, is_so in wrong.items():
        if is_so:
            raise ChannelException(406, f"invalid property '{name}' for {resource}")


def check_deletion(resource: str, arguments: "Mapping[str, Any]", *, if_unused: bool, if_empty: bool) -> None:
    """Raise 540: a quorum queue is deleted without conditions, or not at all."""
    if is_quorum(arguments) and (if_unused or if_empty):
        flag = "if-unused" if if_unused else "if-empty"
        why = f"queue.delete operations with {flag} flag set are not supported by quorum queues"
        raise ConnectionException(540, f"cannot delete {resource}. {why}")


def check_get(resource: str, arguments: "Mapping[str, Any]") -> None:
    """Raise 405: nobody but its single active consumer gets messages of such a quorum queue."""
    if is_quorum(arguments) and arguments.get("x-single-active-consumer") is True:
        why = "basic.get operations are not supported by quorum queues with single active consumer"
        raise ChannelException(405, f"cannot obtain access to locked {resource}. {why}")


def check_prefetch(resource: str, arguments: "Mapping[str, Any]", *, shared: bool) -> None:
    """Raise 540 for a consumer whose channel limits all its consumers together."""
    if shared and is_quorum(arguments):
        raise ConnectionException(540, f"{resource} does not support global qos")


def counted_as(arguments: "Mapping[str, Any]") -> "Counted":
    """As what its deliveries are counted."""
    return "quorum" if is_quorum(arguments) else "classic"
