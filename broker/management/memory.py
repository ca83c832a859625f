"""/api/nodes/NODE/memory: what the memory of a node's process holds, as far as anybody knows.

Decides the words: RabbitMQ's where it has one. What is nobody's share is `other_system`. It must not know how it was
counted.
"""

from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.management.refusals import NotFound
from policies.placement import node_name

if TYPE_CHECKING:
    from broker.management.visit import Visit

Row = dict[str, Any]


async def absolute(visit: "Visit") -> Row:
    """In bytes."""
    parts = await _parts(visit)
    if parts is None:
        return {"memory": "not_available"}
    rss = parts.pop("rss")
    rest = {"other_system": max(0, rss - sum(parts.values())), "strategy": "rss", "total": {"rss": rss}}
    return {"memory": {**parts, **rest}}


async def relative(visit: "Visit") -> Row:
    """In per cent, rounded up."""
    parts = await _parts(visit)
    if parts is None:
        return {"memory": "not_available"}
    rss = parts.pop("rss")
    parts["other_system"] = max(0, rss - sum(parts.values()))
    return {"memory": {"total": 100, **{name: -(-100 * share // max(1, rss)) for name, share in parts.items()}}}


async def _parts(visit: "Visit") -> dict[str, int] | None:
    """Of the path's node; None if it does not answer."""
    name = node_name(visit.part("name"))
    if schema.member(visit.tree, name) is None:
        raise NotFound
    told = await visit.census.ask("memory", of=[name])
    visit.silent.update(told.silent)
    answer = told.answers.get(name)
    return None if answer is None else dict(answer["memory"])
