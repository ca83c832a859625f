"""One request to the HTTP API: who asks, what for, and what of the cluster they may see.

Decides rights, with RabbitMQ's words for what is refused. It must not know how a request came in, nor what any
resource looks like.
"""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from broker.cluster import schema
from broker.vhosts.logins import LoginRefused, OnlyFromHere

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.management.census import Census
    from broker.vhosts.client import User
    from broker.vhosts.hall import Hall

TAGS = frozenset(["management", "policymaker", "monitoring", "administrator"])
MONITORS = frozenset(["monitoring", "administrator"])


class Refusal(Exception):
    """An answer other than success: HTTP status, and the two words of RabbitMQ's error object."""

    def __init__(self, status: int, error: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.error = error
        self.reason = reason


class NotFound(Refusal):
    """Neither a wrong path nor a missing object is told from the other."""

    def __init__(self) -> None:
        super().__init__(404, "Object Not Found", "Not Found")


class Unknown(Refusal):
    """Nobody has logged in."""

    def __init__(self) -> None:
        super().__init__(401, "not_authorized", "Not_Authorized")


class Forbidden(Refusal):
    """A known user without the right: 401 here, too, as RabbitMQ has it."""

    def __init__(self, reason: str) -> None:
        super().__init__(401, "not_authorised", reason)


def rabbit(node: str) -> str:
    """The name by which tools know a node."""
    return f"rabbit@{node}"


def log_in(hall: "Hall", authorization: str, peer_host: str) -> "User":
    """The user of an Authorization header. Raises Refusal, also if the user has no tag for this API."""
    scheme, _, text = authorization.partition(" ")
    try:
        name, colon, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except ValueError:
        raise Unknown from None
    if scheme.lower() != "basic" or not colon:
        raise Unknown
    try:
        user = hall.logins.by_password(name, password, peer_host)
    except OnlyFromHere:
        raise Forbidden("User can only log in via localhost") from None
    except LoginRefused:
        raise Unknown from None
    if TAGS.isdisjoint(user.tags):
        raise Forbidden("Not management user")
    return user


class Visit:
    """A request of a user who has logged in. `parts` are the variable components of the path, still encoded."""

    def __init__(self, user: "User", parts: Mapping[str, str], hall: "Hall", census: "Census") -> None:
        self.user = user
        self.hall = hall
        self.census = census
        self._parts = parts

    @property
    def tree(self) -> "Tree":
        """What the cluster has agreed upon, as this node knows it."""
        return self.hall.tree.tree

    @property
    def monitors(self) -> bool:
        """Whether the user may look at nodes and at every vhost."""
        return not MONITORS.isdisjoint(self.user.tags)

    def check_monitors(self) -> None:
        """Raise Refusal unless the user may look at nodes."""
        if not self.monitors:
            raise Forbidden("Not monitor user")

    def part(self, name: str) -> str:
        """A component of the path."""
        return unquote(self._parts[name])

    def may_enter(self, vhost: str) -> bool:
        """Whether what is in this vhost is shown to the user."""
        return "administrator" in self.user.tags or schema.permission(self.tree, vhost, self.user.name) is not None

    def vhosts(self, *, entered: bool = True) -> list[str]:
        """The vhost of the path, or else all that there are, or (`entered`) that the user may enter. Raises Refusal."""
        names = [record.name for record in schema.vhosts(self.tree)]
        if "vhost" not in self._parts:
            return [name for name in names if not entered or self.may_enter(name)]
        wanted = self.part("vhost")
        if wanted not in names:
            raise NotFound
        if not self.may_enter(wanted):
            raise Forbidden("User not authorised to access virtual host")
        return [wanted]
