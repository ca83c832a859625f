"""/api/overview: the cluster on one screen."""

from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.management import clients
from broker.management.counted import message_stats, named, together, totals
from broker.management.nodes import answered, listeners
from broker.management.visit import rabbit
from broker.routing.delayed import delay_queue
from broker.routing.kinds import DELAYED, KINDS

if TYPE_CHECKING:
    from broker.management.visit import Visit


async def show(visit: "Visit") -> dict[str, Any]:
    """Versions, totals of what the user may see, and for who may monitor, where the cluster listens."""
    vhosts = visit.vhosts(chosen=False)
    sums, silent = await visit.census.sums()
    visit.silent.update(silent)
    figures = named(together(sums[vhost] for vhost in vhosts if vhost in sums))
    overview = {
        **_versions(visit),
        "rates_mode": "none",
        "exchange_types": [
            {"name": kind, "description": text, "enabled": True} for kind, text in sorted(KINDS.items())
        ],
        "message_stats": message_stats(figures),
        "queue_totals": totals(figures),
    }
    objects = {"consumers": figures["consumers"], **_declared(visit, vhosts)}
    if not visit.monitors:
        seen = [await clients.visible(source)(visit) for source in (clients.connections, clients.channels)]
        return overview | {"object_totals": {"connections": len(seen[0]), "channels": len(seen[1]), **objects}}
    nodes = {name: facts for name, facts in (await answered(visit)).items() if facts is not None}
    found = [one for name, facts in nodes.items() for one in listeners(visit, name, facts)]
    contexts = [
        {"node": one["node"], "description": "RabbitMQ Management", "path": "/", "port": str(one["port"])}
        for one in found
        if one["protocol"] == "http"
    ]
    connected = {kind: sum(facts[kind] for facts in nodes.values()) for kind in ("connections", "channels")}
    return overview | {
        "object_totals": {**connected, **objects},
        "node": rabbit(visit.census.node),
        "listeners": found,
        "contexts": contexts,
    }


def _versions(visit: "Visit") -> dict[str, Any]:
    properties = visit.hall.server_properties
    version = properties["version"]
    return {
        "management_version": version,
        "product_version": version,
        "product_name": properties["product"],
        "rabbitmq_version": version,
        "platform": properties["platform"],
        "cluster_name": properties["cluster_name"],
    }


def _declared(visit: "Visit", vhosts: list[str]) -> dict[str, int]:
    """How many exchanges and queues there are, without a look at any queue."""
    exchanges = [one for vhost in vhosts for one in schema.exchanges(visit.tree, vhost)]
    hidden = [schema.queue_path(one.vhost, delay_queue(one.name)) for one in exchanges if one.kind == DELAYED]
    queues = sum(len(visit.tree.children(schema.vhost_path(vhost, "queues"))) for vhost in vhosts)
    return {"exchanges": len(exchanges), "queues": queues - sum(visit.tree.get(path) is not None for path in hidden)}
