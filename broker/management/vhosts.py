"""/api/vhosts, with the messages in each; the rows of list_vhosts and list_vhost_limits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.cluster.records import VhostRecord
from broker.management.listing import Listing, Row, agreed
from broker.management.queues import message_stats, totals
from broker.management.visit import rabbit

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.management.census import Census
    from broker.management.visit import Visit
    from broker.vhosts.hall import Hall


async def listed(visit: "Visit") -> list[Row]:
    """The vhosts that the user may enter; all of them for who may monitor."""
    names = [vhost.name for vhost in schema.vhosts(visit.tree) if visit.monitors or visit.may_enter(vhost.name)]
    return (await listing(visit.hall, visit.census, names)).rows


async def listing(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
    """These vhosts."""
    tree = hall.tree.tree
    queues = {vhost: schema.queues(tree, vhost) for vhost in vhosts}
    figures = await census.figures(queue for inside in queues.values() for queue in inside)
    running = [name for name, member in schema.members(tree).items() if member.running]
    rows = []
    for vhost in records(tree, vhosts):
        counted = [figures[queue.id] for queue in queues[vhost.name] if queue.id in figures]
        row = {
            "name": vhost.name,
            **described(vhost),
            "metadata": described(vhost),
            "tracing": False,
            "cluster_state": {rabbit(name): "running" for name in running},
            **totals(counted),
        }
        stats = message_stats(counted)
        rows.append({**row, "message_stats": stats} if stats else row)
    return Listing(rows)


def records(tree: "Tree", vhosts: Sequence[str]) -> list[VhostRecord]:
    """Those of the vhosts that there are."""
    found = (schema.read(tree, VhostRecord, schema.vhost_path(vhost)) for vhost in vhosts)
    return [record for record in found if record is not None]


def described(vhost: VhostRecord) -> Row:
    """What people said of a vhost."""
    said: Row = {"description": vhost.description, "tags": list(vhost.tags)}
    return {**said, "default_queue_type": vhost.default_queue_type} if vhost.default_queue_type else said


def _limits(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    return [{"vhost": record.name, "value": dict(record.limits)} for record in records(tree, vhosts) if record.limits]


limits = agreed(_limits)
