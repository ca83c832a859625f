"""Where messages go from an exchange and a key, in one virtual host.

Decides which queues and channels take a message, and who may publish it. It must not know what becomes of it there.
"""

from typing import TYPE_CHECKING, Any

from broker.amqp.errors import ChannelException
from broker.routing.graph import Graph, MessageInvalid, routing_keys
from broker.vhosts.client import Client
from broker.vhosts.handle import Handle
from broker.vhosts.replies import Replies, ReplyTarget
from broker.wire.message import split_address

if TYPE_CHECKING:
    from random import Random

    from broker.vhosts.access import Access

Target = Handle | ReplyTarget
"""Takes runs."""

ROUTES_MAX = 4096
"""Publish methods remembered per client; unbound random keys must not grow memory."""

_MANDATORY = 1
_IMMEDIATE = 2


class Route:
    """Where publishes with one method go. `per_message`: each of them has to be asked for; `queue`: it is just this."""

    __slots__ = ("address", "exchange", "handles", "key", "mandatory", "per_message", "queue")

    def __init__(
        self, address: bytes, exchange: str, key: str, handles: list[Target], *, mandatory: bool, per_message: bool
    ) -> None:
        self.address = address
        self.exchange = exchange
        self.key = key
        self.handles = handles
        self.mandatory = mandatory
        self.per_message = per_message
        only = handles[0] if len(handles) == 1 else None
        self.queue = only if isinstance(only, Handle) and not only.delays else None


class Crossroads:
    """Exchanges and queues by name; the catalogue keeps them in step with the tree."""

    def __init__(self, name: str, chance: "Random", replies: Replies) -> None:
        self.name = name
        self.replies = replies
        self.graph = Graph(chance)
        self.handles: dict[str, Handle] = {}
        self._delays: dict[str, Handle] = {}  # queues behind delayed exchanges, which no client may find

    def handle(self, name: str) -> Handle:
        """The queue of this name. Raises 404."""
        handle = self.handles.get(name)
        if handle is None:
            raise ChannelException(404, f"no queue '{name}' in vhost '{self.name}'")
        return handle

    def _targets_for(self, exchange: str, key: str, headers: dict[str, Any], content: bytes = b"") -> list[Target]:
        """The queues of a publish, and the channels that are addressed directly."""
        queues = self._handles_for(exchange, key, headers, content)
        return [*queues] if exchange else [*queues, *self.replies.targets(routing_keys(key, headers))]

    def _handles_for(self, exchange: str, key: str, headers: dict[str, Any], content: bytes = b"") -> list[Handle]:
        try:
            names = self.graph.route(exchange, key, headers, content)
        except MessageInvalid as invalid:
            raise ChannelException(406, str(invalid)) from None
        found = (self.handles.get(name) or self._delays.get(name) for name in names)
        return [handle for handle in found if handle is not None]

    def resolve(self, client: Client, payload: bytes) -> Route:
        """The way of a publish method, from now on remembered by its bytes. Raises 403, 404, 406 and 540."""
        address, bits = payload[2:-1], payload[-1]
        exchange, key = split_address(address)
        if bits & _IMMEDIATE:
            raise ChannelException(540, "immediate=true")
        self.check_publish(client.access(self.name), exchange, key)
        per_message = self.graph.per_message(exchange)
        handles = [] if per_message else self._targets_for(exchange, key, {})
        route = Route(address, exchange, key, handles, mandatory=bool(bits & _MANDATORY), per_message=per_message)
        if len(client.routes) >= ROUTES_MAX:
            client.routes.clear()
        client.routes[payload] = route
        return route

    def check_publish(self, access: "Access", exchange: str, key: str) -> None:
        """Raise 403 or 404 unless somebody with these rights may publish so."""
        access.check("write", "exchange", exchange)
        if exchange and exchange not in self.graph:
            raise ChannelException(404, f"no exchange '{exchange}' in vhost '{self.name}'")
        if exchange and self.graph.is_internal(exchange):
            raise ChannelException(403, f"cannot publish to internal exchange '{exchange}' in vhost '{self.name}'")
        if self.graph.is_topic(exchange):
            access.check_topic("write", exchange, key)

    def find(self, exchange: str, key: str, headers: dict[str, Any], content: bytes = b"") -> list[Handle]:
        """The queues for a message that no client publishes (dead letters); none if the exchange is not there."""
        return self._handles_for(exchange, key, headers, content) if exchange in self.graph else []
