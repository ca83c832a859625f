"""The one table of every policy key: what it may hold, where it applies, and how it meets its rivals.

Decides what a key means to the other modules here; adding a key is one row (and the code in the room that obeys it). It
must not know queues, nodes or how a policy is stored. Only keys that some room obeys stand here: any other is refused.
Source: RabbitMQ 3.10, `rabbit_policies` and `rabbit_mirror_queue_misc`.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from policies.quorum import CLASSIC, QUORUM

QUEUES: Final = "queues"
EXCHANGES: Final = "exchanges"

HA_MODES: Final = ("all", "exactly", "nodes")  # strongest first: the order in which a merge prefers them
LOCATORS: Final = ("client-local", "min-masters", "random")

Merge = Callable[[Any, Any], Any]


class Key(NamedTuple):
    """One policy key. `merge` joins a policy's value with an operator policy's value, in this order."""

    name: str
    accepts: Callable[[Any], bool]
    refusal: str
    """RabbitMQ's text for a value that is not accepted; `{}` is the value as Erlang prints it."""
    applies_to: str = QUEUES
    argument: str | None = None
    """The x-argument that says the same for one queue."""
    argument_merge: Merge | None = None
    """How the argument's value and the policy's become one; None: the argument wins."""
    queue_type: str | None = None
    """The only type of queue that knows it: for others a policy with it does not count, whatever else it says."""
    operator: bool = False
    """Whether an operator policy may set it."""
    merge: Merge = lambda _policy, operator: operator
    default: Any = None
    """What holds when neither argument nor policy say anything."""


def is_integer(value: Any) -> bool:
    """Whether the value is an integer; JSON's true and false are not, whatever Python thinks."""
    return isinstance(value, int) and not isinstance(value, bool)


def _at_least(least: int) -> Callable[[Any], bool]:
    return lambda value: is_integer(value) and value >= least


def _one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _stronger_mode(policy: Any, operator: Any) -> Any:
    return min(policy, operator, key=HA_MODES.index)


def _larger_params(policy: Any, operator: Any) -> Any:
    if is_integer(policy) and is_integer(operator):
        return max(policy, operator)
    if is_integer(policy) or is_integer(operator):
        return policy if is_integer(policy) else operator
    return policy if len(policy) > len(operator) else operator


_ALWAYS_OR_SYNCED = _one_of("always", "when-synced")

KEYS: Final[dict[str, Key]] = {
    key.name: key
    for key in (
        Key(
            "ha-mode",
            _one_of(*HA_MODES),
            "{} is not a valid ha-mode value",
            operator=True,
            merge=_stronger_mode,
            queue_type=CLASSIC,
        ),
        # What ha-params may hold depends on ha-mode: validation.py asks both together.
        Key(
            "ha-params",
            lambda value: is_integer(value) or isinstance(value, list),
            'ha-mode="nodes" takes a list, {} given',
            operator=True,
            merge=_larger_params,
            queue_type=CLASSIC,
        ),
        Key(
            "ha-sync-mode",
            _one_of("manual", "automatic"),
            'ha-sync-mode must be "manual" or "automatic", got {}',
            operator=True,
            default="manual",
            queue_type=CLASSIC,
        ),
        Key(
            "ha-sync-batch-size",
            _at_least(1),
            "ha-sync-batch-size takes an integer greater than 0, {} given",
            queue_type=CLASSIC,
        ),
        Key(
            "ha-promote-on-shutdown",
            _ALWAYS_OR_SYNCED,
            'ha-promote-on-shutdown must be "always" or "when-synced", got {}',
            default="when-synced",
            queue_type=CLASSIC,
        ),
        Key(
            "ha-promote-on-failure",
            _ALWAYS_OR_SYNCED,
            'ha-promote-on-failure must be "always" or "when-synced", got {}',
            default="always",
            queue_type=CLASSIC,
        ),
        Key(
            "queue-master-locator",
            _one_of(*LOCATORS),
            "{} invalid queue-master-locator value",
            argument="x-queue-master-locator",
            queue_type=CLASSIC,
        ),
        Key(
            "message-ttl",
            _at_least(0),
            "{} is not a valid message TTL",
            argument="x-message-ttl",
            argument_merge=min,
            operator=True,
            merge=min,
        ),
        Key(
            "expires",
            _at_least(1),
            "{} is not a valid queue expiry",
            argument="x-expires",
            argument_merge=min,
            operator=True,
            merge=min,
        ),
        Key(
            "max-length",
            _at_least(0),
            "{} is not a valid maximum length",
            argument="x-max-length",
            argument_merge=min,
            operator=True,
            merge=min,
        ),
        Key(
            "max-length-bytes",
            _at_least(0),
            "{} is not a valid maximum length in bytes",
            argument="x-max-length-bytes",
            argument_merge=min,
            operator=True,
            merge=min,
        ),
        Key(
            "overflow",
            _one_of("drop-head", "reject-publish", "reject-publish-dlx"),
            "{} is not a valid overflow value",
            argument="x-overflow",
            default="drop-head",
        ),
        Key(
            "alternate-exchange",
            _is_text,
            "{} is not a valid alternate exchange name",
            applies_to=EXCHANGES,
            argument="alternate-exchange",
        ),
        Key(
            "dead-letter-exchange",
            _is_text,
            "{} is not a valid dead letter exchange name",
            argument="x-dead-letter-exchange",
        ),
        Key(
            "dead-letter-routing-key",
            _is_text,
            "{} is not a valid dead letter routing key",
            argument="x-dead-letter-routing-key",
        ),
        Key(
            "delivery-limit",
            _at_least(0),
            "{} is not a valid delivery limit",
            argument="x-delivery-limit",
            argument_merge=min,
            operator=True,
            merge=min,
            queue_type=QUORUM,
        ),
        Key(
            "dead-letter-strategy",
            _one_of("at-most-once", "at-least-once"),
            "{} is not a valid dead letter strategy",
            argument="x-dead-letter-strategy",
            queue_type=QUORUM,
        ),
        Key(
            "queue-leader-locator",
            _one_of("client-local", "balanced", "random", "least-leaders"),
            "{} is not a valid queue leader locator value",
            argument="x-queue-leader-locator",
            queue_type=QUORUM,
        ),
        # Where RabbitMQ keeps messages, not what becomes of them: backlogs live on disk here, whatever these say.
        Key(
            "queue-mode",
            _one_of("default", "lazy"),
            "{} is not a valid queue-mode value",
            argument="x-queue-mode",
            queue_type=CLASSIC,
        ),
        Key(
            "queue-version",
            lambda value: is_integer(value) and value in (1, 2),
            "{} is not a valid queue-version value",
            argument="x-queue-version",
            operator=True,
        ),
        Key(
            "max-in-memory-length",
            _at_least(0),
            "{} is not a valid maximum memory in bytes",
            argument="x-max-in-memory-length",
            operator=True,
            merge=min,
        ),
        Key(
            "max-in-memory-bytes",
            _at_least(0),
            "{} is not a valid maximum memory in bytes",
            argument="x-max-in-memory-bytes",
            operator=True,
            merge=min,
        ),
    )
}
