"""/api/policies, /api/operator-policies, and the rows of list_policies and list_operator_policies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.management import reply
from broker.management.listing import Row, agreed
from broker.management.refusals import NotFound

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.management.reply import Reply
    from broker.management.visit import Visit


def rows(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    """The policies of these virtual hosts."""
    return [policy.as_json() for vhost in vhosts for policy in schema.policies(tree, vhost)]


def operator_rows(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    """The operator policies of these virtual hosts."""
    return [policy.as_json() for vhost in vhosts for policy in schema.policies(tree, vhost, operator=True)]


listing = agreed(rows)
operator = agreed(operator_rows)


# ------------------------------------------------------------------ by HTTP


def single(visit: "Visit") -> Row:
    """One policy."""
    return _named(visit, rows(visit.tree, [visit.vhost]))


def single_operator(visit: "Visit") -> Row:
    """One operator policy."""
    return _named(visit, operator_rows(visit.tree, [visit.vhost]))


async def put(visit: "Visit") -> "Reply":
    """Make a policy, or replace it."""
    return await _put(visit, operator=False)


async def put_operator(visit: "Visit") -> "Reply":
    """Make an operator policy, or replace it."""
    return await _put(visit, operator=True)


async def delete(visit: "Visit") -> "Reply":
    """Remove a policy."""
    await visit.propose("clear_policy", vhost=visit.vhost, name=single(visit)["name"], operator=False)
    return reply.DONE


async def delete_operator(visit: "Visit") -> "Reply":
    """Remove an operator policy."""
    await visit.propose("clear_policy", vhost=visit.vhost, name=single_operator(visit)["name"], operator=True)
    return reply.DONE


def _named(visit: "Visit", found: list[Row]) -> Row:
    name = visit.part("name")
    policy = next((row for row in found if row["name"] == name), None)
    if policy is None:
        raise NotFound
    return policy


async def _put(visit: "Visit", *, operator: bool) -> "Reply":
    said = visit.body.model_dump(by_alias=True)
    named = {"vhost": visit.vhost, "name": visit.part("name")}
    there = any(
        row["name"] == named["name"] for row in (operator_rows if operator else rows)(visit.tree, [visit.vhost])
    )
    await visit.propose("put_policy", operator=operator, **named, **said)
    return reply.put(not there)
