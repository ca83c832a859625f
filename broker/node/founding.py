"""What the first transaction of a cluster says, from its configuration.

Decides which facts of the file seed the cluster; later they are committed state, and the file only adds to them. What
`definitions:` names comes in later, when the cluster serves.
"""

import json
from collections.abc import Mapping
from typing import Any

from broker.node.configuration import Cluster


def founding_of(cluster: Cluster, members: Mapping[str, str]) -> dict[str, Any]:
    """The request `found`, without the id that the agreement gives. `members`: name -> where it is dialled."""
    return {"do": "found", "name": cluster.name, "members": list(members), "links": dict(members)} | contents_of(
        cluster
    )


def contents_of(cluster: Cluster) -> dict[str, Any]:
    """Vhosts, users and policies of the file, as requests carry them."""
    return {
        "vhosts": list(cluster.vhosts),
        "users": [
            {
                "name": user.name,
                "password": user.password,
                "tags": list(user.tags),
                "permissions": {vhost: list(rights) for vhost, rights in user.permissions.items()},
            }
            for user in cluster.users
        ],
        "policies": [policy.as_json() for policy in cluster.policies],
        "operator_policies": [policy.as_json() for policy in cluster.operator_policies],
    }


def definitions_of(cluster: Cluster) -> Any:
    """What the file of `definitions:` says, None without one. Raises OSError, ValueError."""
    return None if cluster.definitions is None else json.loads(cluster.definitions.read_text(encoding="utf-8"))
