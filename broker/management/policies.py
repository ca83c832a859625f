"""/api/policies."""

from typing import TYPE_CHECKING, Any

from broker.cluster import schema

if TYPE_CHECKING:
    from broker.management.visit import Visit


def listed(visit: "Visit") -> list[dict[str, Any]]:
    """All policies, or those of a vhost."""
    return [policy.as_json() for vhost in visit.vhosts() for policy in schema.policies(visit.tree, vhost)]
