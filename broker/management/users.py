"""Users and their limits: the rows of list_users and list_user_limits, and of definitions.

Decides field names. Source: RabbitMQ 3.10's HTTP API.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.management.listing import Row, agreed

if TYPE_CHECKING:
    from broker.cluster.tree import Tree


def rows(tree: "Tree", _vhosts: Sequence[str] = ()) -> list[Row]:
    """All users, with what others need to let them in elsewhere."""
    return [
        {
            "name": user.name,
            "password_hash": user.password_hash,
            "hashing_algorithm": user.hashing_algorithm,
            "tags": list(user.tags),
            "limits": dict(user.limits),
        }
        for user in schema.users(tree)
    ]


def _limits(tree: "Tree", _vhosts: Sequence[str]) -> list[Row]:
    return [{"user": user.name, "value": dict(user.limits)} for user in schema.users(tree) if user.limits]


listing = agreed(rows)
limits = agreed(_limits)
