"""Lists for the command line: every kind of object that a command may ask a node for.

Decides which kinds there are and what becomes of a virtual host that does not exist; the rows are those of the HTTP
API. It must not know how they are printed.
"""

from typing import TYPE_CHECKING, Any, Final

from broker.cluster import schema
from broker.cluster.asked import ask, ask_all
from broker.cluster.refusal import Refused
from broker.management import (
    bindings,
    clients,
    definitions,
    exchanges,
    global_parameters,
    permissions,
    policies,
    queues,
    users,
    vhosts,
)
from broker.management.listing import agreed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.management.census import Census
    from broker.management.listing import Row, Source
    from broker.vhosts.hall import Hall

KINDS: "Final[Mapping[str, Source]]" = {
    "queues": queues.listing,
    "exchanges": exchanges.listing,
    "bindings": bindings.listing,
    "users": users.listing,
    "user_limits": users.limits,
    "vhosts": vhosts.listing,
    "vhost_limits": vhosts.limits,
    "permissions": permissions.listing,
    "topic_permissions": permissions.topics,
    "policies": policies.listing,
    "operator_policies": policies.operator,
    "parameters": agreed(definitions.parameters),
    "global_parameters": global_parameters.listing,
    "connections": clients.connections,
    "channels": clients.channels,
    "consumers": clients.consumers,
}


class Facts:
    """Answers `facts` from the moment a node serves clients."""

    def __init__(self, hall: "Hall", census: "Census") -> None:
        self._hall = hall
        self._census = census

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The rows of a kind, in one virtual host or in all of them. Raises Refused (`not_found`, `invalid`)."""
        kind, vhost = ask(request, "kind", str), ask(request, "vhost", str, None)
        wanted = ask_all(request, "fields", str) if "fields" in request else None
        source = KINDS.get(kind)
        if source is None:
            raise Refused("invalid", f"this node does not list {kind}")
        listing = await source(self._hall, self._census, self._vhosts(vhost))
        rows = listing.rows if wanted is None else [_only(row, wanted) for row in listing.rows]
        return {"rows": rows, "silent": sorted(listing.silent)}

    def _vhosts(self, wanted: str | None) -> list[str]:
        tree = self._hall.tree.tree
        if wanted is None:
            return [record.name for record in schema.vhosts(tree)]
        if schema.vhost(tree, wanted) is None:
            raise Refused("not_found", f"Virtual host '{wanted}' does not exist")
        return [wanted]


def _only(row: "Row", fields: list[str]) -> "Row":
    return {name: row[name] for name in fields if name in row}
