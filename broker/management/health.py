"""/api/health/checks: one question each, for load balancers and monitoring.

Decides what counts as healthy; what fails is an answer with status 503 and the reason in its body.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from broker.cluster import schema
from broker.cluster.records import Life, QueueRecord
from broker.management.certificate_dates import ends_of
from broker.management.nodes import listeners
from broker.management.refusals import BadRequest, NotFound
from broker.management.visit import rabbit
from policies.placement import node_name
from policies.quorum import is_quorum

if TYPE_CHECKING:
    from broker.management.visit import Visit

_OK = {"status": "ok"}
_PROTOCOLS = {"amqp091": "amqp", "amqp0.9.1": "amqp", "amqp-0-9-1": "amqp", "amqps": "amqp/ssl"}


class Unhealthy(Exception):
    """A check that failed: the reason, and what exactly is wrong."""

    def __init__(self, reason: str, **details: Any) -> None:
        super().__init__(reason)
        self.body = {"status": "failed", "reason": reason, **details}


async def alarms(visit: "Visit") -> dict[str, Any]:
    """No node is short of anything."""
    nodes = await visit.census.nodes()
    found = {name: facts["alarms"] for name, facts in nodes.items() if facts is not None}
    return _without_alarms(found, "There are alarms in effect in the cluster")


def local_alarms(visit: "Visit") -> dict[str, Any]:
    """This node is not short of anything."""
    found = {visit.census.node: visit.census.here()["alarms"]}
    return _without_alarms(found, "There are alarms in effect on the node")


def _without_alarms(found: dict[str, list[str]], reason: str) -> dict[str, Any]:
    rows = [{"node": rabbit(name), "resource": resource} for name, names in found.items() for resource in names]
    if rows:
        raise Unhealthy(reason, alarms=rows)
    return _OK


async def partitions(visit: "Visit") -> dict[str, Any]:
    """No two nodes went on without each other. Not RabbitMQ's: there one looks at `partitions` of /api/nodes."""
    nodes = await visit.census.nodes()
    parted = {name: facts["parted_from"] for name, facts in nodes.items() if facts is not None and facts["parted_from"]}
    if parted:
        rows = [{"node": rabbit(name), "from": [rabbit(other) for other in others]} for name, others in parted.items()]
        raise Unhealthy("There are partitions in the cluster", partitions=rows)
    return _OK


def port_listener(visit: "Visit") -> dict[str, Any]:
    """Something listens on this port of this node."""
    text = visit.part("port")
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise BadRequest("Invalid port")
    ports = [row["port"] for row in listeners(visit, visit.census.node, visit.census.here())]
    if int(text) not in ports:
        raise Unhealthy("No active listener", missing=int(text), ports=ports)
    return {**_OK, "port": int(text)}


def protocol_listener(visit: "Visit") -> dict[str, Any]:
    """This node speaks that protocol."""
    wanted = visit.part("protocol")
    protocols = [row["protocol"] for row in listeners(visit, visit.census.node, visit.census.here())]
    if _PROTOCOLS.get(wanted, wanted) not in protocols:
        raise Unhealthy("No active listener", missing=wanted, protocols=protocols)
    return {**_OK, "protocol": wanted}


def virtual_hosts(visit: "Visit") -> dict[str, Any]:
    """Every vhost is served here."""
    served = visit.hall.catalogue.vhosts
    down = [vhost.name for vhost in schema.vhosts(visit.tree) if vhost.name not in served]
    if down:
        raise Unhealthy("Some virtual hosts are down", **{"virtual-hosts": down})
    return _OK


def mirror_sync_critical(visit: "Visit") -> dict[str, Any]:
    """Without this node every mirrored queue still has a synchronised copy."""
    if len(schema.members(visit.tree)) == 1:
        return {**_OK, "reason": "single node cluster"}
    here = schema.found(visit.tree, QueueRecord, schema.masters_key(visit.census.node))
    queues = [
        {
            "name": record.name,
            "readable_name": f"queue '{record.name}' in vhost '{record.vhost}'",
            "virtual_host": record.vhost,
            "type": "classic",
        }
        for record in here
        if record.is_mirrored
        and not is_quorum(record.arguments)
        and not _has_copy_elsewhere(visit, record, record.master)
    ]
    if queues:
        reason = "There are classic mirrored queues without online synchronised mirrors"
        raise Unhealthy(reason, queues=queues)
    return _OK


def quorum_critical(visit: "Visit") -> dict[str, Any]:
    """Without this node every quorum queue still has somebody who has everything."""
    if len(schema.members(visit.tree)) == 1:
        return {**_OK, "reason": "single node cluster"}
    own = visit.hall.life
    queues = [
        {
            "name": record.name,
            "readable_name": f"queue '{record.name}' in vhost '{record.vhost}'",
            "virtual_host": record.vhost,
            "type": "quorum",
        }
        for record in schema.found(visit.tree, QueueRecord, schema.copies_key(own.node))
        if is_quorum(record.arguments) and own in record.in_sync and not _has_copy_elsewhere(visit, record, own)
    ]
    if queues:
        reason = "There are quorum queues that would lose their quorum if the target node is shut down"
        raise Unhealthy(reason, queues=queues)
    return _OK


def _has_copy_elsewhere(visit: "Visit", record: QueueRecord, here: Life) -> bool:
    return any(life != here and schema.is_current(visit.tree, life) for life in record.in_sync)


async def node(visit: "Visit") -> dict[str, Any]:
    """The old way to ask for a node at large; what fails is said with status 200."""
    name = node_name(visit.part("name")) if visit.has_part("name") else visit.census.node
    if schema.member(visit.tree, name) is None:
        raise NotFound
    told = await visit.census.ask("facts", of=[name])
    answer = told.answers.get(name)
    if answer is None:
        reason = f"node {rabbit(name)} is not running, or has not answered in time"
        return {"status": "failed", "reason": reason}
    short = answer["facts"]["alarms"]
    return {"status": "failed", "reason": f"resource alarm(s) in effect: {', '.join(short)}"} if short else _OK


_DAY_S = 86_400.0
_UNITS_S = {"days": _DAY_S, "weeks": 7 * _DAY_S, "months": 365 / 12 * _DAY_S, "years": 365 * _DAY_S}
_NUMBER = re.compile(r"[+-]?[0-9]{1,11}")


async def certificate_expiration(visit: "Visit") -> dict[str, Any]:
    """No certificate that this node shows or trusts ends so soon."""
    unit, within = visit.part("unit").lower(), visit.part("within")
    if unit not in _UNITS_S:
        raise BadRequest("Time unit not recognised. Supported units: days, weeks, months, years.")
    if _NUMBER.fullmatch(within) is None:
        raise BadRequest("Invalid expiration value.")
    until_ms = visit.hall.switchboard.stamp_ms + int(within) * _UNITS_S[unit] * 1000
    files = visit.census.here()["told"]["certificates"]
    try:
        ends = await trio.to_thread.run_sync(_ends, files)
    except (OSError, ValueError) as unreadable:
        raise Unhealthy(f"A certificate cannot be read: {unreadable}") from None
    found = [
        {"node": rabbit(visit.census.node), "certfile": file, "certfile_expires_on": [str(end) for end in late]}
        for file, dates in ends.items()
        if (late := [end for end in dates if end.timestamp() * 1000 < until_ms])
    ]
    if found:
        raise Unhealthy("Certificates expiring", expired=found)
    return _OK


def _ends(files: list[str]) -> dict[str, list[datetime]]:
    return {file: ends_of(Path(file).read_text(encoding="ascii", errors="replace")) for file in files}
