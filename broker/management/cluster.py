"""What is said of, and done to, the cluster as a whole, and the small answers that tools expect.

Decides field names. It must not know what a node or a queue looks like.
"""

from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.management import reply
from broker.management.refusals import NotFound
from policies.placement import node_name

if TYPE_CHECKING:
    from broker.management.reply import Reply
    from broker.management.visit import Visit

Row = dict[str, Any]


def name(visit: "Visit") -> Row:
    """The cluster's name, as clients are told it."""
    return {"name": visit.hall.server_properties["cluster_name"]}


async def rename(visit: "Visit") -> "Reply":
    """Give the cluster another name."""
    await visit.propose("set_cluster_name", name=visit.body.name)
    return reply.DONE


def extensions(visit: "Visit") -> list[Row]:
    """What is plugged into the page: nothing."""
    return []


async def rebalance(visit: "Visit") -> "Reply":
    """Spread the masters of mirrored queues over the nodes; it is done when the answer comes."""
    await visit.command("rebalance", kind="all", vhosts=".*", queues=".*")
    return reply.DONE


def auth(visit: "Visit") -> Row:
    """How the page lets people log in: with a name and a password."""
    return {"enable_uaa": False, "uaa_client_id": "", "uaa_location": ""}


async def reset(visit: "Visit") -> "Reply":
    """DELETE /api/reset: nodes forget what was before, one or all; rates and curves begin anew."""
    names = list(schema.members(visit.tree))
    if visit.has_part("name"):
        names = [name for name in names if name == node_name(visit.part("name"))]
        if not names:
            raise NotFound
    told = await visit.census.ask("forget", of=names)
    visit.silent.update(told.silent)
    return reply.DONE
