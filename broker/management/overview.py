"""/api/overview: the cluster on one screen."""

from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.management import clients
from broker.management.counted import RETENTION, lengths, message_stats, named, part_of, totals
from broker.management.ledger import QUEUE_FIGURES
from broker.management.nodes import churn, contexts, listeners
from broker.management.sampler import CHANNEL_FIGURES
from broker.management.testimony import NODE_FIGURES
from broker.management.visit import rabbit
from broker.routing.delayed import delay_queue
from broker.routing.kinds import DELAYED, KINDS

if TYPE_CHECKING:
    from broker.management.testimony import Figures
    from broker.management.visit import Visit


async def show(visit: "Visit") -> dict[str, Any]:
    """Versions, totals of what the user may see, and for who may monitor, where the cluster listens."""
    vhosts = visit.vhosts(chosen=False)
    overview = {
        **_versions(visit),
        "exchange_types": [
            {"name": kind, "description": text, "enabled": True} for kind, text in sorted(KINDS.items())
        ],
        **_modes(visit),
    }
    if visit.says("disable_stats"):
        return overview | await _agreed(visit, vhosts)
    told = await visit.census.ask("facts", "node", "sums", instants=visit.instants)
    visit.silent.update(told.silent)
    queues = told.sums(vhosts)
    objects = {"consumers": named(queues.values)["consumers"], **_declared(visit, vhosts)}
    overview["queue_totals"] = lengths(queues, visit.instants)
    if not visit.monitors:
        seen = [await clients.visible(source)(visit) for source in (clients.connections, clients.channels)]
        objects |= {"connections": len(seen[0]), "channels": len(seen[1])}
        happened = message_stats(queues, QUEUE_FIGURES, visit.instants)
        return overview | {"message_stats": happened, "object_totals": objects}
    facts = {name: answer["facts"] for name, answer in sorted(told.answers.items())}
    objects |= {kind: sum(each[kind] for each in facts.values()) for kind in ("connections", "channels")}
    whole = told.whole()
    return overview | {
        "message_stats": message_stats(part_of(whole, NODE_FIGURES, CHANNEL_FIGURES), CHANNEL_FIGURES, visit.instants),
        "churn_rates": churn(whole, visit.instants),
        "object_totals": objects,
        "node": rabbit(visit.census.node),
        **_doors(visit, facts),
    }


async def _agreed(visit: "Visit", vhosts: list[str]) -> dict[str, Any]:
    """Nothing is counted, but messages if somebody wants that."""
    found = {"node": rabbit(visit.census.node), "object_totals": _declared(visit, vhosts)}
    if not visit.says("enable_queue_totals"):
        return found
    told = await visit.census.ask("sums")
    visit.silent.update(told.silent)
    return found | {"queue_totals": totals(named(told.sums(vhosts).values))}


def _modes(visit: "Visit") -> dict[str, Any]:
    return {
        "rates_mode": "basic",
        "sample_retention_policies": RETENTION,
        "disable_stats": visit.says("disable_stats"),
        "enable_queue_totals": visit.says("enable_queue_totals"),
        "statistics_db_event_queue": 0,
    }


def _doors(visit: "Visit", facts: "dict[str, Figures]") -> dict[str, Any]:
    found = [one for name, each in facts.items() for one in listeners(visit, name, each)]
    return {"listeners": found, "contexts": contexts(found)}


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
