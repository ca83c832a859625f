"""/api/vhosts, with the messages in each, and /api/vhost-limits; the rows of list_vhosts and list_vhost_limits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.cluster.records import VhostRecord
from broker.management import reply
from broker.management.census import NOW
from broker.management.counted import Instants, lengths, message_stats
from broker.management.ledger import QUEUE_FIGURES
from broker.management.listing import Listing, Row, agreed
from broker.management.refusals import BadRequest, NotFound, as_validation
from broker.management.visit import rabbit
from policies.placement import node_name

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.management.census import Census
    from broker.management.reply import Reply
    from broker.management.visit import Visit
    from broker.vhosts.hall import Hall


async def listed(visit: "Visit") -> list[Row]:
    """The vhosts that the user may enter; all of them for who may monitor."""
    names = [vhost.name for vhost in schema.vhosts(visit.tree) if visit.monitors or visit.may_enter(vhost.name)]
    return await _rows(visit, names)


async def listing(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
    """These vhosts."""
    return await _counted(hall.tree.tree, census, vhosts, NOW)


async def _counted(tree: "Tree", census: "Census", vhosts: Sequence[str], instants: Instants) -> Listing:
    told = await census.ask("sums", instants=instants)
    rows = []
    for row in agreed_upon(tree, vhosts):
        counted = told.sums([row["name"]])
        happened = message_stats(counted, QUEUE_FIGURES, instants)
        rows.append({**row, **lengths(counted, instants), **({"message_stats": happened} if happened else {})})
    return Listing(rows, told.silent)


def agreed_upon(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    """What every node knows of these vhosts."""
    running = [name for name, member in schema.members(tree).items() if member.running]
    return [
        {
            "name": vhost.name,
            **described(vhost),
            "metadata": described(vhost),
            "tracing": False,
            "cluster_state": {rabbit(name): "running" for name in running},
        }
        for vhost in records(tree, vhosts)
    ]


def records(tree: "Tree", vhosts: Sequence[str]) -> list[VhostRecord]:
    """Those of the vhosts that there are."""
    found = (schema.vhost(tree, vhost) for vhost in vhosts)
    return [record for record in found if record is not None]


def described(vhost: VhostRecord) -> Row:
    """What people said of a vhost."""
    said: Row = {"description": vhost.description, "tags": list(vhost.tags)}
    return {**said, "default_queue_type": vhost.default_queue_type} if vhost.default_queue_type else said


def _limits(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    return [{"vhost": record.name, "value": dict(record.limits)} for record in records(tree, vhosts) if record.limits]


limits = agreed(_limits)


# ------------------------------------------------------------------ by HTTP


async def single(visit: "Visit") -> Row:
    """One vhost."""
    if not visit.has_vhost:
        raise NotFound
    (row,) = await _rows(visit, [visit.part("vhost")])
    return row


async def _rows(visit: "Visit", vhosts: Sequence[str]) -> list[Row]:
    if visit.says("disable_stats"):
        return agreed_upon(visit.tree, vhosts)
    rows, silent = await _counted(visit.tree, visit.census, vhosts, visit.instants)
    visit.silent.update(silent)
    return rows


async def put(visit: "Visit") -> "Reply":
    """Make a vhost, or describe it anew. Who makes one may do everything in it."""
    if visit.body.tracing:
        raise BadRequest("tracing: this broker does not trace; browse shows what is in a queue")
    name, said = visit.part("vhost"), visit.body.model_dump(exclude_unset=True, exclude={"tracing"})
    if visit.body.default_queue_type is None:
        said.pop("default_queue_type", None)
    created = (await visit.propose("put_vhost", name=name, **said))["created"]
    if created:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await visit.propose("put_permission", user=visit.user.name, vhost=name, **everything)
    return reply.put(created)


async def delete(visit: "Visit") -> "Reply":
    """Remove a vhost with everything in it."""
    if not visit.has_vhost:
        raise NotFound
    await visit.propose("delete_vhost", name=visit.part("vhost"))
    return reply.DONE


def start(visit: "Visit") -> "Reply":
    """Start a vhost on a node: it runs there anyway."""
    _ = visit.vhost
    member = schema.member(visit.tree, node_name(visit.part("name")))
    if member is None or not member.running:
        raise BadRequest(f"Request to node {visit.part('name')} failed with nodedown")
    return reply.DONE


def limited(visit: "Visit") -> list[Row]:
    """The limits of vhosts that have some."""
    return _limits(visit.tree, visit.vhosts())


async def put_limit(visit: "Visit") -> "Reply":
    """Limit the connections or the queues of a vhost; -1: no limit."""
    present = dict(_present(visit).limits)
    limits = {**present, visit.part("limit"): visit.body.value}
    with as_validation():
        await visit.hall.tree.propose({"do": "set_vhost_limits", "vhost": visit.vhost, "limits": limits})
    return reply.DONE


async def delete_limit(visit: "Visit") -> "Reply":
    """Remove a limit of a vhost."""
    present, limit = dict(_present(visit).limits), visit.part("limit")
    if limit in present:
        del present[limit]
        await visit.propose("set_vhost_limits", vhost=visit.vhost, limits=present)
    return reply.DONE


def _present(visit: "Visit") -> VhostRecord:
    record = schema.vhost(visit.tree, visit.vhost)
    assert record is not None
    return record
