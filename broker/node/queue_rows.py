"""A queue as `warren status` and `top` show it: where its copies are, what they lack, and what its master counts.

Decides the words. It must not know which queues are shown.
"""

from typing import TYPE_CHECKING, Any

from broker.cluster.records import RUNNING
from broker.management.queues import sync_messages

if TYPE_CHECKING:
    from broker.cluster.records import QueueRecord
    from broker.vhosts.hall import Hall


def row_of(hall: "Hall", record: "QueueRecord") -> dict[str, Any]:
    """A queue; counts are filled in where its master is on this node."""
    handle = hall.catalogue.handles.get(record.id)
    local = None if handle is None else handle.local
    figures = None if local is None else local.statistics()
    synchronised = {life.node for life in record.in_sync}
    missing = {} if figures is None else figures["missing"]
    waiting = record.state != "running"
    arrived = None if figures is None else sync_messages(figures)
    percent = None if figures is None or arrived is None else 100 * arrived // max(1, figures["messages"])
    mirrors = [life.node for life in record.mirrors if life != record.master]
    return {
        "vhost": record.vhost,
        "name": record.name,
        "type": str(record.arguments.get("x-queue-type", "classic")),
        "master": None if waiting else record.master.node,
        "mirrors": mirrors if record.is_mirrored else None,
        "in_sync": [node for node in mirrors if node in synchronised] if record.is_mirrored else None,
        "term": record.term_count,
        "state": _state(record, arrived),
        "reason": record.reason or (f"`warren queue resume {record.name}` ends the pause" if record.paused else None),
        "policy": record.policy,
        "operator_policy": record.operator_policy,
        "durable": record.durable,
        "exclusive": record.exclusive is not None,
        "unsynchronised": {node: missing[node] for node in mirrors if node not in synchronised and node in missing},
        "sync_messages": arrived,
        "sync_percent": percent,
        "messages": None if figures is None else figures["messages"],
        "messages_ready": None if figures is None else figures["messages_ready"],
        "messages_unacknowledged": None if figures is None else figures["messages_unacked"],
        "message_bytes": None if figures is None else figures["message_bytes"],
        "consumers": None if figures is None else figures["consumers"],
    }


def _state(record: "QueueRecord", arrived: int | None) -> str:
    """What is to be known first: that nobody serves it, that it gives nothing out, that mirrors are being filled."""
    if record.state != RUNNING:
        return record.state
    if record.paused:
        return "paused"
    return record.state if arrived is None else "syncing"
