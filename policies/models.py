"""What a policy is: a named rule "queues or exchanges whose name matches get these settings".

Decides the fields and their JSON names. It must not know which policy wins (`matching`) nor what a key means (`keys`).
Plain slotted classes, not pydantic: every node reads its policies at start-up, and that import costs a tenth of a
second.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of one virtual host. Immutable: to change it is to put another under its name."""

    vhost: str
    name: str
    pattern: str
    definition: Mapping[str, Any] = field(hash=False)
    apply_to: str = "all"
    priority: float = 0

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """From RabbitMQ's field names; does not judge (see `validation.checked`)."""
        return cls(
            vhost=value.get("vhost", "/"),
            name=value["name"],
            pattern=value["pattern"],
            definition=dict(value["definition"]),
            apply_to=value.get("apply-to", "all"),
            priority=value.get("priority", 0),
        )

    def as_json(self) -> dict[str, Any]:
        """RabbitMQ's field names, as the HTTP API and definition files write them."""
        return {
            "vhost": self.vhost,
            "name": self.name,
            "pattern": self.pattern,
            "apply-to": self.apply_to,
            "definition": dict(self.definition),
            "priority": self.priority,
        }


class OperatorPolicy(Policy):
    """A policy that the operator lays over the users' own: fewer keys, and it merges instead of competing."""

    __slots__ = ()
