"""/api/nodes: every member of the cluster, as it describes itself.

Decides the field names of a node. What a node did not answer is not made up: it has only a name, and does not run.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.management import memory
from broker.management.counted import MESSAGE_RATES, NODE_STATS, Counted, Instants, detailed, part_of
from broker.management.refusals import NotFound
from broker.management.route import Query
from broker.management.sampler import CONNECTION_FIGURES
from broker.management.testimony import CHURN, NODE_FIGURES, OWN_FIGURES
from broker.management.visit import rabbit
from broker.routing.kinds import KINDS
from policies.placement import node_name

if TYPE_CHECKING:
    from broker.management.testimony import Figures
    from broker.management.visit import Visit

MEMORY = Query("memory", "boolean", "With what the memory of the process holds.")
_DOORS = {"amqp": "amqp", "amqp/ssl": "amqps", "http": "http", "https": "https", "clustering": "link"}


async def listed(visit: "Visit") -> list[dict[str, Any]]:
    """All nodes."""
    return list((await _all(visit)).values())


async def single(visit: "Visit") -> dict[str, Any]:
    """One node, also by its short name."""
    nodes, name = await _all(visit), node_name(visit.part("name"))
    if name not in nodes:
        raise NotFound
    return {**nodes[name], **(await memory.absolute(visit) if visit.says(MEMORY.name) else {})}


async def _all(visit: "Visit") -> dict[str, dict[str, Any]]:
    told = await visit.census.ask("facts", "node", "links", instants=visit.instants)
    visit.silent.update(told.silent)
    return {name: _described(visit, name, told.answers.get(name)) for name in schema.members(visit.tree)}


def churn(counted: Counted, instants: Instants) -> dict[str, Any]:
    """What came and went."""
    return detailed(part_of(counted, NODE_FIGURES, CHURN), CHURN, dict, MESSAGE_RATES, instants.get(MESSAGE_RATES, ()))


def contexts(found: "list[dict[str, Any]]") -> list[dict[str, Any]]:
    """What is served by HTTP at these listeners."""
    return [
        {"node": one["node"], "description": "RabbitMQ Management", "path": "/", "port": str(one["port"])}
        for one in found
        if one["protocol"] in ("http", "https")
    ]


def listeners(visit: "Visit", name: str, facts: "Figures") -> list[dict[str, Any]]:
    """Where a node listens, and for what; not for AMQP while it is in maintenance."""
    found = []
    for protocol, door in _DOORS.items():
        if facts.get(door) is None or (protocol.startswith("amqp") and _is_drained(visit, name)):
            continue
        host, _, port = facts[door].rpartition(":")
        ip_address = host.strip("[]")
        found.append({"node": rabbit(name), "protocol": protocol, "ip_address": ip_address, "port": int(port)})
    return found


MECHANISMS = {
    "PLAIN": "SASL PLAIN authentication mechanism",
    "AMQPLAIN": "QPid AMQPLAIN mechanism",
    "EXTERNAL": "TLS peer verification-based authentication plugin. "
    "Used in combination with the EXTERNAL SASL mechanism.",
}
PLUGINS = (
    "rabbitmq_management",
    "rabbitmq_prometheus",
    "rabbitmq_auth_mechanism_ssl",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_delayed_message_exchange",
    "rabbitmq_random_exchange",
)
"""Of those that RabbitMQ has besides, what is built in here, by the names by which tools ask for it."""
_APPLICATIONS = {
    "warren": "A clustered message broker, compatible with RabbitMQ",
    "trio": "Tasks that wait",
    "hypercorn": "HTTP",
    "starlette": "HTTP",
}


def _is_drained(visit: "Visit", name: str) -> bool:
    member = schema.member(visit.tree, name)
    return member is not None and member.drained


def _described(visit: "Visit", name: str, answer: "Figures | None") -> dict[str, Any]:
    node: dict[str, Any] = {"name": rabbit(name), "type": "disc", "running": answer is not None}
    node["being_drained"] = _is_drained(visit, name)
    if answer is None:
        return node
    facts, counted = answer["facts"], Counted(*answer["node"])
    own = part_of(counted, NODE_FIGURES, OWN_FIGURES)
    node |= detailed(own, OWN_FIGURES, dict, NODE_STATS, visit.instants.get(NODE_STATS, ()))
    return node | {
        "partitions": [rabbit(other) for other in sorted({*facts["cut_from"], *facts["parted_from"]})],
        "os_pid": str(facts["pid"]),
        "uptime": round(facts["uptime_s"] * 1000),
        "processors": facts["processors"],
        "fd_total": facts["fd_total"],
        "sockets_total": facts["fd_total"],
        "run_queue": facts["run_queue"],
        "rates_mode": "basic",
        **_equipment(visit, facts),
        **_averages(facts["disk_s"]),
        "cluster_links": [_link(visit, *one) for one in answer["links"]],
        "mem_limit": facts["mem_limit"],
        "mem_alarm": "memory" in facts["alarms"],
        "mem_calculation_strategy": "rss",
        "disk_free_limit": facts["disk_free_limit"],
        "disk_free_alarm": "disk" in facts["alarms"],
        # Not RabbitMQ's: where the node stands in the agreement of the cluster.
        "role": facts["role"],
        "epoch": facts["epoch"],
        "life": facts["life"],
        # Unless `always`, what it confirmed may be lost with the machine.
        "fsync": facts["fsync"],
    }


def _equipment(visit: "Visit", facts: "Figures") -> dict[str, Any]:
    """What the node has, and what it was told."""
    told, name = facts["told"], facts["node"]
    return {
        "exchange_types": [
            {"name": kind, "description": text, "enabled": True} for kind, text in sorted(KINDS.items())
        ],
        "auth_mechanisms": [
            {"name": one, "description": MECHANISMS[one], "enabled": True} for one in facts["mechanisms"]
        ],
        "applications": applications(),
        "enabled_plugins": list(PLUGINS),
        "contexts": [
            {key: value for key, value in one.items() if key != "node"}
            for one in contexts(listeners(visit, name, facts))
        ],
        "log_files": ["<stdout>"],
        "db_dir": told["data_folder"],
        "config_files": [] if told["config_file"] is None else [told["config_file"]],
        "net_ticktime": facts["net_ticktime_s"],
    }


def _averages(disk_s: "Figures") -> dict[str, float]:
    """In milliseconds."""
    return {f"io_{what}_avg_time": seconds * 1000 for what, seconds in disk_s.items()}


def _link(visit: "Visit", peer: str, address: str, octets: Any) -> dict[str, Any]:
    fields = detailed(
        Counted(*octets), CONNECTION_FIGURES, _bytes_of_link, NODE_STATS, visit.instants.get(NODE_STATS, ())
    )
    host, _, port = address.rpartition(":")
    return {"name": rabbit(peer), "peer_addr": host.strip("[]"), "peer_port": int(port or 0), **fields, "stats": fields}


def _bytes_of_link(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {"recv_bytes": figures["recv_oct"], "send_bytes": figures["send_oct"]}


@cache
def applications() -> list[dict[str, str]]:
    """What runs in a node, with versions."""
    found = [{"name": "python", "description": "The language", "version": python_version()}]
    for name, description in _APPLICATIONS.items():
        with suppress(PackageNotFoundError):
            found.append({"name": name, "description": description, "version": version(name)})
    return found
