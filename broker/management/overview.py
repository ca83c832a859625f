"""/api/overview: the cluster on one screen."""

from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.management.nodes import listeners
from broker.management.queues import message_stats, totals
from broker.management.visit import rabbit
from broker.routing.kinds import KINDS

if TYPE_CHECKING:
    from broker.management.visit import Visit


async def show(visit: "Visit") -> dict[str, Any]:
    """Versions, totals of what the user may see, and for who may monitor, where the cluster listens."""
    vhosts = visit.vhosts(chosen=False)
    queues = [queue for vhost in vhosts for queue in schema.queues(visit.tree, vhost)]
    figures = (await visit.census.figures(queues)).values()
    properties = visit.hall.server_properties
    version = properties["version"]
    overview = {
        "management_version": version,
        "rates_mode": "none",
        "product_version": version,
        "product_name": properties["product"],
        "rabbitmq_version": version,
        "platform": properties["platform"],
        "cluster_name": properties["cluster_name"],
        "exchange_types": [
            {"name": kind, "description": text, "enabled": True} for kind, text in sorted(KINDS.items())
        ],
        "message_stats": message_stats(figures),
        "queue_totals": totals(figures),
        "object_totals": {
            "consumers": sum(one["consumers"] for one in figures),
            "exchanges": sum(len(schema.exchanges(visit.tree, vhost)) for vhost in vhosts),
            "queues": len(queues),
        },
    }
    if visit.monitors:
        nodes = await visit.census.nodes()
        found = [one for name, facts in nodes.items() if facts is not None for one in listeners(visit, name, facts)]
        contexts = [
            {"node": one["node"], "description": "RabbitMQ Management", "path": "/", "port": str(one["port"])}
            for one in found
            if one["protocol"] == "http"
        ]
        overview |= {"node": rabbit(visit.census.node), "listeners": found, "contexts": contexts}
    return overview
