"""/api/queues, and the rows of list_queues: what stands in the tree, and what the masters count.

Decides the field names of a queue, and its state in RabbitMQ's words.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.management.listing import Listing, Row
from broker.management.visit import NotFound, rabbit

if TYPE_CHECKING:
    from broker.cluster.records import QueueRecord
    from broker.management.census import Census, Figures
    from broker.management.visit import Visit
    from broker.vhosts.hall import Hall

TOTALS = {"messages": "messages", "messages_ready": "messages_ready", "messages_unacknowledged": "messages_unacked"}
COUNTS = {
    **TOTALS,
    "message_bytes": "message_bytes",
    "message_bytes_ready": "message_bytes_ready",
    "message_bytes_unacknowledged": "message_bytes_unacked",
    "consumers": "consumers",
}
_DELIVERIES = {"deliver": "delivered", "deliver_no_ack": "delivered_no_ack", "get": "got", "get_no_ack": "got_no_ack"}
_STATS = {"publish": "published", "ack": "acked", "redeliver": "redelivered", **_DELIVERIES}


async def listing(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
    """The queues of these vhosts."""
    records = [record for vhost in vhosts for record in schema.queues(hall.tree.tree, vhost)]
    figures = await census.figures(records)
    return Listing([_described(record, figures.get(record.id)) for record in records])


async def single(visit: "Visit") -> Row:
    """One queue."""
    (vhost,) = visit.vhosts()
    record = schema.queue(visit.tree, vhost, visit.part("name"))
    if record is None:
        raise NotFound
    figures = await visit.census.figures([record])
    return _described(record, figures.get(record.id))


def totals(figures: Iterable["Figures"]) -> dict[str, int]:
    """The messages of several queues together."""
    counted = list(figures)
    return {name: sum(one[ours] for one in counted) for name, ours in TOTALS.items()}


def message_stats(figures: Iterable["Figures"]) -> dict[str, int]:
    """What happened to messages of these queues; only what did."""
    counted = list(figures)
    stats = {name: sum(one[ours] for one in counted) for name, ours in _STATS.items()}
    stats["deliver_get"] = sum(stats[name] for name in _DELIVERIES)
    return {name: count for name, count in stats.items() if count}


def _described(record: "QueueRecord", figures: "Figures | None") -> Row:
    queue: Row = {
        "name": record.name,
        "vhost": record.vhost,
        "type": "classic",
        "node": rabbit(record.master.node),
        "state": "down" if figures is None else "running",
        "durable": record.durable,
        "auto_delete": record.auto_delete,
        "exclusive": record.exclusive is not None,
        "arguments": dict(record.arguments),
        "policy": record.policy,
        "operator_policy": record.operator_policy,
        "effective_policy_definition": dict(record.definition or {}),
    }
    if record.exclusive is not None:
        queue["owner_pid_details"] = {"name": record.exclusive.connection}
    if figures is None:
        return queue
    queue |= {name: figures[ours] for name, ours in COUNTS.items()}
    if stats := message_stats([figures]):
        queue["message_stats"] = stats
    if record.is_mirrored:
        queue |= _mirroring(record, figures)
    return queue


def _mirroring(record: "QueueRecord", figures: "Figures") -> dict[str, Any]:
    mirrors = [life for life in record.mirrors if life != record.master]
    fields: dict[str, Any] = {
        "slave_nodes": [rabbit(life.node) for life in mirrors],
        "synchronised_slave_nodes": [rabbit(life.node) for life in mirrors if life in record.in_sync],
        "recoverable_slaves": [rabbit(node) for node in record.candidates] if record.durable else None,
    }
    lacking: Mapping[str, int] = figures["missing"]
    most = max(lacking.values(), default=0)
    if most and (record.definition or {}).get("ha-sync-mode") == "automatic":
        fields |= {"state": "syncing", "sync_messages": max(0, figures["messages"] - most)}
    return fields
