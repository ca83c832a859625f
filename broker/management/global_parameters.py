"""Global parameters as rows.

Decides field names. It must not know what a parameter is good for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.management.listing import Row, agreed

if TYPE_CHECKING:
    from broker.cluster.tree import Tree

INTERNAL = "internal"
"""What begins so belongs to this very cluster, and to no definitions."""


def rows(tree: "Tree", _vhosts: Sequence[str] = ()) -> list[Row]:
    """All global parameters, with what the cluster says of itself."""
    return [{"name": record.name, "value": record.value} for record in schema.global_parameters(tree)]


def defined(tree: "Tree") -> list[Row]:
    """Those that definitions have."""
    return [row for row in rows(tree) if not row["name"].startswith(INTERNAL)]


listing = agreed(rows)
