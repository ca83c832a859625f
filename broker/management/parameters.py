"""/api/parameters and /api/global-parameters.

Decides field names, and which parameters are those of a component that has routes of its own. It must not know what a
component does with them.
"""

from typing import TYPE_CHECKING

from broker.management import definitions, reply
from broker.management.refusals import BadRequest, NotFound

if TYPE_CHECKING:
    from broker.management.listing import Row
    from broker.management.reply import Reply
    from broker.management.visit import Visit


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
    """Set a parameter of a component that is known."""
    component, name, value = visit.part("component"), visit.part("name"), visit.body.value
    there = any(row["name"] == name for row in listed(visit))
    match component:
        case definitions.VHOST_LIMITS:
            await visit.propose("set_vhost_limits", vhost=visit.vhost, limits=value)
        case definitions.OPERATOR_POLICY if isinstance(value, dict):
            await visit.propose("put_policy", operator=True, **{**value, "vhost": visit.vhost, "name": name})
        case _:
            raise BadRequest(f"Validation failed\n\ncomponent {component} not found\n")
    return reply.put(not there)


async def delete(visit: "Visit") -> "Reply":
    """Remove a parameter."""
    row = single(visit)
    if row["component"] == definitions.VHOST_LIMITS:
        await visit.propose("clear_vhost_limits", vhost=row["vhost"])
    else:
        await visit.propose("clear_policy", vhost=row["vhost"], name=row["name"], operator=True)
    return reply.DONE
