"""/api/vhosts, with the messages in each."""

from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.management.queues import message_stats, totals
from broker.management.visit import rabbit

if TYPE_CHECKING:
    from broker.management.visit import Visit


async def listed(visit: "Visit") -> list[dict[str, Any]]:
    """The vhosts that the user may enter; all of them for who may monitor."""
    records = [vhost for vhost in schema.vhosts(visit.tree) if visit.monitors or visit.may_enter(vhost.name)]
    queues = {vhost.name: schema.queues(visit.tree, vhost.name) for vhost in records}
    figures = await visit.census.figures(queue for inside in queues.values() for queue in inside)
    running = [name for name, member in schema.members(visit.tree).items() if member.running]
    rows = []
    for vhost in records:
        counted = [figures[queue.id] for queue in queues[vhost.name] if queue.id in figures]
        row = {
            "name": vhost.name,
            "description": vhost.description,
            "tags": list(vhost.tags),
            "metadata": {"description": vhost.description, "tags": list(vhost.tags)},
            "tracing": False,
            "cluster_state": {rabbit(name): "running" for name in running},
            **totals(counted),
        }
        stats = message_stats(counted)
        rows.append({**row, "message_stats": stats} if stats else row)
    return rows
