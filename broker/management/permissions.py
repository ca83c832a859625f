"""What users may do in virtual hosts, and with which routing keys: the rows of list_permissions and its siblings.

Decides field names. Source: RabbitMQ 3.10's HTTP API.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.management.listing import Row, agreed

if TYPE_CHECKING:
    from broker.cluster.tree import Tree


def rows(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    """Permissions in these virtual hosts."""
    return [record._asdict() for vhost in vhosts for record in schema.permissions(tree, vhost)]


def topic_rows(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    """Topic permissions in these virtual hosts."""
    return [record._asdict() for vhost in vhosts for record in schema.topic_permissions(tree, vhost)]


listing = agreed(rows)
topics = agreed(topic_rows)
