"""One request to the HTTP API: who asks, what for, and what of the cluster they may see and do.

Decides rights, with RabbitMQ's words for what is refused. It must not know how a request came in, nor what any
resource looks like.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from broker.amqp.errors import ConnectionException
from broker.cluster import schema
from broker.cluster.refusal import Refused
from broker.management.refusals import Forbidden, NotFound, Refusal, Unknown, of_declaration, of_tree
from broker.management.route import Right
from broker.management.shaping import Shape
from broker.vhosts.logins import LoginRefused, OnlyFromHere

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.management.census import Census
    from broker.vhosts.client import Client, User
    from broker.vhosts.hall import Hall
    from broker.vhosts.vhost import Vhost

TAGS = frozenset(["management", "policymaker", "monitoring", "administrator"])
MONITORS = frozenset(["monitoring", "administrator"])
OBJECT_REFUSED = "User not authorised to access object"
DEFAULT_EXCHANGE = "amq.default"
"""The default exchange in a path; its own name is empty."""

CHOSEN_VHOST = "x-vhost"
"""The header by which a page has lists of one vhost only; empty: of all."""

Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Carries out what the command line can ask for; a refusal is `{"error": text, "code": word}`."""


class Asked(NamedTuple):
    """What a request brought along."""

    method: str = "GET"
    parts: Mapping[str, str] = {}
    """The variable components of the path, still encoded."""
    queries: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    said: Sequence[tuple[str, str]] = ()
    """All that stands behind the question mark, in order."""


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
        user = hall.logins.log_in_visitor(name, password, peer_host)
    except OnlyFromHere:
        raise Forbidden("User can only log in via localhost") from None
    except LoginRefused:
        raise Unknown from None
    if TAGS.isdisjoint(user.tags):
        raise Forbidden("Not management user")
    return user


class Visit:
    """A request of a user who has logged in."""

    def __init__(self, user: "User", asked: Asked, hall: "Hall", census: "Census", command: Command) -> None:
        self.user = user
        self.hall = hall
        self.census = census
        self.queries = asked.queries
        self._said = asked.said
        self.headers = asked.headers
        self.raw = b""
        """The body as it came."""
        self.body: Any = None
        """As the route's model has it."""
        self.shape = Shape()
        """How the answer is to look."""
        self.silent: set[str] = set()
        """The nodes that ought to run but did not tell their share of the answer in time."""
        self.instants: dict[str, list[int]] = {}
        """By kind of curve the points that it is to go through."""
        self._changes = asked.method not in ("GET", "HEAD")
        self._parts = asked.parts
        self._command = command

    @property
    def tree(self) -> "Tree":
        """What the cluster has agreed upon, as this node knows it."""
        return self.hall.tree.tree

    def says(self, query: str) -> bool:
        """Whether this is asked for."""
        return self.queries.get(query) == "true"

    def all_of(self, query: str) -> list[str]:
        """Every value of a parameter that may be said several times."""
        return [value for name, value in self._said if name == query]

    # ------------------------------------------------------------------ rights

    @property
    def administers(self) -> bool:
        """Whether the user may do everything."""
        return "administrator" in self.user.tags

    @property
    def monitors(self) -> bool:
        """Whether the user may look at nodes and at every vhost."""
        return not MONITORS.isdisjoint(self.user.tags)

    def check(self, right: Right) -> None:
        """Raise Refusal unless the user has this right."""
        match right:
            case Right.ADMINISTRATOR if not self.administers:
                raise Forbidden("Not administrator user")
            case Right.MONITORING if not self.monitors:
                raise Forbidden("Not monitor user")
            case Right.POLICYMAKER if not self.administers:
                if "policymaker" not in self.user.tags:
                    raise Forbidden(OBJECT_REFUSED)
                if "vhost" in self._parts and self.has_vhost and not self.may_enter(self.part("vhost")):
                    raise Forbidden(OBJECT_REFUSED)
            case Right.VHOST:
                _ = self.vhost

    def may_enter(self, vhost: str) -> bool:
        """Whether what is in this vhost is shown to the user."""
        return self.administers or schema.permission(self.tree, vhost, self.user.name) is not None

    # ------------------------------------------------------------------ the path

    def part(self, name: str) -> str:
        """A component of the path. Raises NotFound for what is no text."""
        try:
            return unquote_to_bytes(self._parts[name]).decode()
        except UnicodeDecodeError:
            raise NotFound from None

    def has_part(self, name: str) -> bool:
        """Whether the path has this component."""
        return name in self._parts

    def exchange(self, part: str = "name") -> str:
        """The exchange that a component of the path names."""
        name = self.part(part)
        return "" if name == DEFAULT_EXCHANGE else name

    @property
    def has_vhost(self) -> bool:
        """Whether there is the vhost of the path."""
        return schema.vhost(self.tree, self.part("vhost")) is not None

    @property
    def vhost(self) -> str:
        """The vhost of the path. Raises Refusal if there is none, or it is not the user's."""
        if not self.has_vhost:
            raise Refusal(404, "not_found", "vhost_not_found") if self._changes else NotFound
        if not self.may_enter(name := self.part("vhost")):
            raise Forbidden("User not authorised to access virtual host")
        return name

    def vhosts(self, *, entered: bool = True, chosen: bool = True) -> list[str]:
        """The vhost of the path, or else all that there are, or (`entered`) that the user may enter; of those only the
        one in the header x-vhost, if it is sent and `chosen`. Raises Refusal."""
        if "vhost" in self._parts:
            return [self.vhost]
        only = self.headers.get(CHOSEN_VHOST) if chosen else None
        names = [record.name for record in schema.vhosts(self.tree) if not only or record.name == only]
        return [name for name in names if not entered or self.may_enter(name)]

    # ------------------------------------------------------------------ changes

    def enter(self) -> "tuple[Vhost, Client]":
        """The vhost of the path, and the user as a client of it, with the rights of one. Raises Refusal."""
        name = self.vhost
        try:
            return self.hall.open_vhost(self.user, name, "")
        except ConnectionException as refused:
            raise of_declaration(refused) from None

    async def propose(self, do: str, **request: Any) -> dict[str, Any]:
        """Have the cluster agree. Raises Refusal."""
        try:
            return await self.hall.tree.propose({"do": do, **request})
        except Refused as refused:
            raise of_tree(refused) from None

    async def command(self, do: str, **request: Any) -> dict[str, Any]:
        """Have done what a command of the command line does. Raises Refusal."""
        answer = await self._command({"do": do, **request})
        if "error" in answer:
            raise of_tree(Refused(answer.get("code", "invalid"), answer["error"]))
        return answer
