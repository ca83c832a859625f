"""/api/policies, and the rows of list_policies and list_operator_policies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.management.listing import Row, agreed

if TYPE_CHECKING:
    from broker.cluster.tree import Tree


def rows(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    """The policies of these virtual hosts."""
    return [policy.as_json() for vhost in vhosts for policy in schema.policies(tree, vhost)]


def operator_rows(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    """Their operator policies."""
    return [policy.as_json() for vhost in vhosts for policy in schema.policies(tree, vhost, operator=True)]


listing = agreed(rows)
operator = agreed(operator_rows)
