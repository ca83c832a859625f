"""/api/nodes: every member of the cluster, as it describes itself.

Decides the field names of a node. What a node did not answer is not made up: it has only a name, and does not run.
"""

from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.management.counted import MESSAGE_RATES, NODE_STATS, Counted, Instants, detailed, part_of
from broker.management.refusals import NotFound
from broker.management.testimony import CHURN, NODE_FIGURES, OWN_FIGURES
from broker.management.visit import rabbit
from policies.placement import node_name

if TYPE_CHECKING:
    from broker.management.testimony import Figures
    from broker.management.visit import Visit

_DOORS = {"amqp": "amqp", "amqp/ssl": "amqps", "http": "http", "https": "https", "clustering": "link"}


async def listed(visit: "Visit") -> list[dict[str, Any]]:
    """All nodes."""
    return list((await _all(visit)).values())


async def single(visit: "Visit") -> dict[str, Any]:
    """One node, also by its short name."""
    nodes, name = await _all(visit), node_name(visit.part("name"))
    if name not in nodes:
        raise NotFound
    return nodes[name]


async def _all(visit: "Visit") -> dict[str, dict[str, Any]]:
    told = await visit.census.ask("facts", "node", instants=visit.instants)
    visit.silent.update(told.silent)
    return {name: _described(visit, name, told.answers.get(name)) for name in schema.members(visit.tree)}


def churn(counted: Counted, instants: Instants) -> dict[str, Any]:
    """What came and went."""
    return detailed(part_of(counted, NODE_FIGURES, CHURN), CHURN, dict, MESSAGE_RATES, instants.get(MESSAGE_RATES, ()))


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
        "rates_mode": "basic",
        "mem_limit": facts["mem_limit"],
        "mem_alarm": "memory" in facts["alarms"],
        "disk_free_limit": facts["disk_free_limit"],
        "disk_free_alarm": "disk" in facts["alarms"],
        # Not RabbitMQ's: where the node stands in the agreement of the cluster.
        "role": facts["role"],
        "epoch": facts["epoch"],
        "life": facts["life"],
        # Unless `always`, what it confirmed may be lost with the machine.
        "fsync": facts["fsync"],
    }
