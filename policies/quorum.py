"""What the queue type `quorum` says about a queue's copies, in the words of the policy keys that say it for others.

Decides how many copies such a queue has and that none of them becomes master without everything; the `ha-` keys of
policies mean nothing to it. It must not know queues or nodes. Source: RabbitMQ 3.10, "Quorum Queues".
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

CLASSIC: Final = "classic"
QUORUM: Final = "quorum"
GROUP_SIZE: Final = 3
"""Copies of a queue that does not say how many it wants (x-quorum-initial-group-size)."""

LEADER_LOCATORS: Final = {
    "client-local": "client-local",
    "balanced": "min-masters",
    "random": "min-masters",
    "least-leaders": "min-masters",
}
"""The words of `queue-leader-locator`, and what each is as a `queue-master-locator`: RabbitMQ 3.10 knows only two."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def is_quorum(arguments: Mapping[str, Any]) -> bool:
    """Whether these are the arguments of a quorum queue."""
    return arguments.get("x-queue-type") == QUORUM


def type_of(arguments: Mapping[str, Any]) -> str:
    """The type of a queue with these arguments."""
    return QUORUM if is_quorum(arguments) else CLASSIC


def mirroring(arguments: Mapping[str, Any], definition: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The definition by which a queue with these arguments, under these policies, has its copies."""
    if not is_quorum(arguments):
        return _NOTHING if definition is None else definition
    return {
        "ha-mode": "exactly",
        "ha-params": arguments.get("x-quorum-initial-group-size", GROUP_SIZE),
        "ha-sync-mode": "automatic",
        "ha-promote-on-failure": "when-synced",
        "ha-promote-on-shutdown": "when-synced",
    }
