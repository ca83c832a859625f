"""What this node says of itself to an operator who takes a close look: what it was told, and what it uses.

Decides which facts those are; no secret is among them. It must not change anything.
"""

import platform
import ssl
from typing import TYPE_CHECKING, Any

import trio

from broker.cluster import schema
from broker.world.process import descriptors_max, memory_parts, open_descriptors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from broker.management.census import Census
    from broker.node.report import Report
    from broker.vhosts.hall import Hall

Answer = dict[str, Any]


class Description:
    """The verb of one life of a node."""

    def __init__(self, hall: "Hall", census: "Census", report: "Report") -> None:
        self._hall = hall
        self._census = census
        self._report = report
        self.verbs: Mapping[str, Callable[[Answer], Awaitable[Answer]]] = {"describe": self._describe}

    async def _describe(self, _request: Answer) -> Answer:
        await trio.lowlevel.checkpoint()
        return {
            **self._census.here(),
            **self._report.told(),
            "system": platform.system(),
            "crypto": ssl.OPENSSL_VERSION,
            "fd_used": open_descriptors(),
            "fd_total": descriptors_max(),
            "memory_parts": memory_parts(),
            "totals": self._totals(),
            "down_vhosts": self._down_vhosts(),
        }

    def _totals(self) -> dict[str, int]:
        """Queues and virtual hosts of the cluster, connections to this node."""
        tree = self._hall.tree.tree
        vhosts = [record.name for record in schema.vhosts(tree)]
        return {
            "connection_count": len(self._hall.roster.presences),
            "queue_count": sum(len(schema.queues(tree, vhost)) for vhost in vhosts),
            "virtual_host_count": len(vhosts),
        }

    def _down_vhosts(self) -> list[str]:
        served = self._hall.catalogue.vhosts
        return [record.name for record in schema.vhosts(self._hall.tree.tree) if record.name not in served]
