"""Limits of users and virtual hosts, as requests name them.

Decides which are known and that each is a number. It must not know who obeys them. Source: RabbitMQ 3.10,
`rabbit_auth_backend_internal:validate_user_limits`, `rabbit_vhost_limit`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.cluster.refusal import Refused
from policies.keys import is_integer
from policies.validation import erlang


def check_limits(limits: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Raises Refused for a limit that is not one of those `known`, or no number; `what` names the set of them."""
    for name in known:
        if name in limits and not is_integer(limits[name]):
            raise Refused("invalid", f"{name} should be a number, actually was {erlang(limits[name])}")
    if strange := {name: value for name, value in limits.items() if name not in known}:
        raise Refused("invalid", f"Unrecognised terms {erlang(strange)} in {what}")
