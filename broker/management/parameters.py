"""/api/parameters and /api/global-parameters.

Decides field names, and which of them only an administrator may change: those that routes of their own keep for
administrators, too. RabbitMQ lets policymakers through this door to what bounds them. It must not know what a component
does with them.
"""

from typing import TYPE_CHECKING, Final

from broker.cluster import schema
from broker.cluster.procedures.parameters import OPERATOR_POLICY, VHOST_LIMITS
from broker.management import definitions, global_parameters, reply
from broker.management.refusals import NotFound
from broker.management.route import Right

if TYPE_CHECKING:
    from broker.management.listing import Row
    from broker.management.reply import Reply
    from broker.management.visit import Visit


BOUNDS: Final = frozenset([OPERATOR_POLICY, VHOST_LIMITS])
"""Components by which an administrator bounds what others may do in a vhost."""
OF_CLUSTER: Final = frozenset([schema.CLUSTER_NAME])
"""Global parameters that are what the cluster is."""


def listed(visit: "Visit") -> "list[Row]":
    """The parameters of vhosts: all, of one component, of one component in a vhost."""
    found = definitions.parameters(visit.tree, visit.vhosts())
    if not visit.has_part("component"):
        return found
    component = visit.part("component")
    return [row for row in found if row["component"] == component]


def single(visit: "Visit") -> "Row":
    """One parameter."""
    name = visit.part("name")
    found = next((row for row in listed(visit) if row["name"] == name), None)
    if found is None:
        raise NotFound
    return found


async def put(visit: "Visit") -> "Reply":
    """PUT: the value of a parameter of a component that is known."""
    component, name = visit.part("component"), visit.part("name")
    _check(visit, component, BOUNDS)
    there = any(row["name"] == name for row in listed(visit))
    where = {"vhost": visit.vhost, "component": component, "name": name}
    await visit.propose("put_parameter", value=visit.body.value, **where)
    return reply.put(not there)


async def delete(visit: "Visit") -> "Reply":
    """DELETE: one parameter."""
    row = single(visit)
    _check(visit, row["component"], BOUNDS)
    await visit.propose("clear_parameter", vhost=row["vhost"], component=row["component"], name=row["name"])
    return reply.DONE


def listed_globally(visit: "Visit") -> "list[Row]":
    """The global parameters, with what the cluster says of itself."""
    return global_parameters.rows(visit.tree)


def single_globally(visit: "Visit") -> "Row":
    """One global parameter."""
    name = visit.part("name")
    found = next((row for row in listed_globally(visit) if row["name"] == name), None)
    if found is None:
        raise NotFound
    return found


async def put_globally(visit: "Visit") -> "Reply":
    """PUT: the value of a global parameter, any JSON; cluster_name is what clients are told."""
    name = visit.part("name")
    _check(visit, name, OF_CLUSTER)
    there = any(row["name"] == name for row in listed_globally(visit))
    await visit.propose("put_global_parameter", name=name, value=visit.body.value)
    return reply.put(not there)


async def delete_globally(visit: "Visit") -> "Reply":
    """DELETE: one global parameter."""
    name = single_globally(visit)["name"]
    _check(visit, name, OF_CLUSTER)
    await visit.propose("clear_global_parameter", name=name)
    return reply.DONE


def _check(visit: "Visit", name: str, kept: frozenset[str]) -> None:
    if name in kept:
        visit.check(Right.ADMINISTRATOR)
