"""/api/auth/attempts: how many have tried to log in at a node, by protocol.

Decides field names. Nothing is kept of where they came from, so that nobody can fill a memory by failing from many
places: RabbitMQ does not either, unless it is told to. It must not know how anybody logs in.
"""

from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.management.refusals import NotFound
from policies.placement import node_name

if TYPE_CHECKING:
    from broker.management.visit import Visit

Row = dict[str, Any]


async def by_protocol(visit: "Visit") -> list[Row]:
    """Since the node's process began."""
    name = _node(visit)
    told = await visit.census.ask("logins", of=[name])
    visit.silent.update(told.silent)
    return [
        {
            "protocol": protocol,
            "auth_attempts": accepted + refused,
            "auth_attempts_failed": refused,
            "auth_attempts_succeeded": accepted,
        }
        for protocol, accepted, refused in told.answers.get(name, {}).get("logins", ())
        if accepted or refused
    ]


def by_source(visit: "Visit") -> list[Row]:
    """Nothing is known of that."""
    _ = _node(visit)
    return []


def _node(visit: "Visit") -> str:
    name = node_name(visit.part("name"))
    if schema.member(visit.tree, name) is None:
        raise NotFound
    return name
