"""Declaring, binding, deleting: what clients ask of a vhost and the whole cluster has to agree upon.

Decides rights, reserved names and which conditions are asked of a queue's master before a proposal; translates the
tree's refusals into AMQP's reply codes. It must not know channels, nor how agreement is reached.
"""

import base64
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from broker.amqp.errors import AmqpException, ChannelException, ConnectionException
from broker.cluster import schema
from broker.cluster.arguments import to_json
from broker.cluster.records import BindingRecord, Life
from broker.cluster.refusal import Refused
from broker.routing.kinds import KindUnknown, check_kind
from broker.vhosts.arguments import check_exchange_arguments, check_queue_arguments
from broker.vhosts.queue_types import check_deletion, check_nameless, check_properties, with_default_type
from broker.wire.properties import REPLY_TO

if TYPE_CHECKING:
    from random import Random

    from broker.metadata.shared_tree import SharedTree
    from broker.meters.meters import Churn
    from broker.vhosts.catalogue import Catalogue
    from broker.vhosts.client import Client
    from broker.vhosts.handle import Handle

RESERVED = "amq."

REPLY_CODES = {
    "not_found": 404,
    "inequivalent": 406,
    "in_use": 406,
    "not_empty": 406,
    "locked": 405,
    "exists": 406,
}


class DeclaredQueue(NamedTuple):
    """The answer to queue.declare."""

    name: str
    message_count: int
    consumer_count: int


class Declarations:
    """The slow verbs of all vhosts of this node."""

    def __init__(
        self,
        catalogue: "Catalogue",
        tree: "SharedTree",
        life: Life,
        chance: "Random",
        locator: str,
        churn: "Churn",
    ) -> None:
        """`churn`: where declarations are counted."""
        self._catalogue = catalogue
        self._churn = churn
        self._tree = tree
        self._life = life
        self._chance = chance
        self._locator = locator

    async def current(self) -> None:
        """Return once what stands in the tree here is what clients have been told elsewhere (S15).

        A node that has slept, or is out of touch, does not know what was declared and deleted meanwhile, nor that it
        does not: it asks the leader.
        """
        if not self.is_current():
            await self._tree.sync()

    def is_current(self) -> bool:
        """Whether what clients are told elsewhere is held back until this node has heard of it."""
        return self._tree.lease_valid()

    async def _propose(self, **request: Any) -> dict[str, Any]:
        try:
            return await self._tree.propose(request)
        except Refused as refused:
            raise _translated(refused) from None

    # ------------------------------------------------------------------ exchanges

    async def declare_exchange(
        self,
        client: "Client",
        name: str,
        kind: str,
        *,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        arguments: dict[str, Any],
    ) -> None:
        """exchange.declare."""
        vhost = client.vhost
        if passive:
            _check_default(name)
            self._check_source(vhost, name)
            return
        try:
            check_kind(kind)
        except KindUnknown as unknown:
            raise ConnectionException(503, str(unknown)) from None
        _check_default(name)
        client.access(vhost).check("configure", "exchange", name)
        if schema.exchange(self._tree.tree, vhost, name) is None:
            _check_reserved("exchange", name)
            check_exchange_arguments(client, name, arguments)
        await self._propose(
            do="declare_exchange",
            vhost=vhost,
            name=name,
            kind=kind,
            durable=durable,
            auto_delete=auto_delete,
            internal=internal,
            arguments=to_json(arguments),
            node=self._life.node,
            life=self._life.number,
            locator=self._locator,
        )

    async def delete_exchange(self, client: "Client", name: str, *, if_unused: bool) -> None:
        """exchange.delete; one that is not there is deleted already."""
        _check_default(name)
        if name.startswith(RESERVED):
            resource = f"exchange '{name}' in vhost '{client.vhost}'"
            raise ChannelException(403, f"deletion of system {resource} not allowed")
        client.access(client.vhost).check("configure", "exchange", name)
        await self._propose(do="delete_exchange", vhost=client.vhost, name=name, if_unused=if_unused)

    async def bind_exchange(
        self, client: "Client", destination: str, source: str, key: str, arguments: dict[str, Any], *, bind: bool
    ) -> None:
        """exchange.bind and exchange.unbind; what is not there is unbound already (RabbitMQ)."""
        self._check_binding_rights(client, source, "exchange", destination, key)
        if bind:
            self._check_source(client.vhost, source)
        await self._change_binding(client, source, "exchange", destination, key, arguments, bind=bind)

    def _check_binding_rights(
        self, client: "Client", source: str, kind: Literal["exchange", "queue"], destination: str, key: str
    ) -> None:
        """In RabbitMQ's order; an exchange that is not there has no kind, and is refused later."""
        access = client.access(client.vhost)
        access.check("write", kind, destination)
        if kind == "exchange":
            _check_default(destination)
        _check_default(source)
        access.check("read", "exchange", source)
        if self._catalogue.vhosts[client.vhost].graph.is_topic(source):
            access.check_topic("read", source, key)

    async def _change_binding(
        self,
        client: "Client",
        source: str,
        kind: str,
        destination: str,
        key: str,
        arguments: dict[str, Any],
        *,
        bind: bool,
    ) -> None:
        await self._propose(
            do="bind" if bind else "unbind",
            vhost=client.vhost,
            source=source,
            destination_kind=kind,
            destination=destination,
            key=key,
            arguments=to_json(arguments),
        )

    def _check_source(self, vhost: str, name: str) -> None:
        if schema.exchange(self._tree.tree, vhost, name) is None:
            raise ChannelException(404, f"no exchange '{name}' in vhost '{vhost}'")

    # ------------------------------------------------------------------ queues

    async def declare_queue(
        self,
        client: "Client",
        name: str,
        *,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: dict[str, Any],
        at: Life | None = None,
    ) -> DeclaredQueue:
        """queue.declare; an empty name gets one from here. `at`: the node of which the client is taken to be one."""
        at = at or self._life
        vhost = self._catalogue.vhosts[client.vhost]
        if name.startswith(REPLY_TO):
            await vhost.replies.check(client.vhost, name)
            return DeclaredQueue(name, 0, 1)
        if passive:
            handle = vhost.handle(name)
            client.check_exclusive(handle)
            return await self._declared(handle)
        kind = self._default_type(client.vhost)
        arguments = with_default_type(kind, arguments, durable=durable, exclusive=exclusive, auto_delete=auto_delete)
        if not name:
            check_nameless(arguments)
            name = "amq.gen-" + base64.urlsafe_b64encode(self._chance.randbytes(16)).decode().rstrip("=")
        else:
            _check_reserved("queue", name)
        client.access(client.vhost).check("configure", "queue", name)
        self._churn.queues_declared += 1
        if name in vhost.handles:
            vhost.handles[name].check_present()
        else:
            check_queue_arguments(client, name, arguments)
            resource = f"queue '{name}' in vhost '{client.vhost}'"
            check_properties(resource, arguments, durable=durable, exclusive=exclusive, auto_delete=auto_delete)
        # Noted first: who goes away meanwhile does not hear of it, and would leave a queue that nobody else can use.
        client.has_declared_exclusively |= exclusive
        await self._propose(
            do="declare_queue",
            vhost=client.vhost,
            name=name,
            durable=durable,
            auto_delete=auto_delete,
            exclusive=exclusive,
            arguments=to_json(arguments),
            node=at.node,
            life=at.number,
            connection=client.owner.connection,
            locator=self._locator,
        )
        handle = vhost.handle(name)
        return await self._declared(handle)

    def _default_type(self, vhost: str) -> str:
        record = schema.vhost(self._tree.tree, vhost)
        return "" if record is None else record.default_queue_type

    async def declare_plain(self, vhost: str, name: str) -> None:
        """A durable queue without arguments, for a command; one that is there stays as it is."""
        if name not in self._catalogue.vhosts[vhost].handles:
            facts = {"durable": True, "node": self._life.node, "life": self._life.number, "connection": ""}
            facts["locator"] = self._locator
            await self._propose(do="declare_queue", vhost=vhost, name=name, **facts)

    async def _declared(self, handle: "Handle") -> DeclaredQueue:
        figures = await handle.counts()
        return DeclaredQueue(handle.record.name, figures["messages_ready"], figures["consumers"])

    async def delete_queue(self, client: "Client", name: str, *, if_unused: bool, if_empty: bool) -> int:
        """queue.delete; how many messages it had. One that is not there is deleted already (RabbitMQ)."""
        vhost = self._catalogue.vhosts[client.vhost]
        client.access(client.vhost).check("configure", "queue", name)
        handle = vhost.handles.get(name)
        if handle is None:
            return 0
        client.check_exclusive(handle)
        check_deletion(handle.text, handle.record.arguments, if_unused=if_unused, if_empty=if_empty)
        try:
            count = await self.delete(handle, if_unused=if_unused, if_empty=if_empty)
        except Refused as refused:
            raise _translated(refused) from None
        return count

    async def delete(self, handle: "Handle", *, if_unused: bool, if_empty: bool) -> int:
        """Delete a queue, whoever wants that; how many messages it had. Raises Refused `in_use` and `not_empty`."""
        count = await self._checked_count(handle, if_unused=if_unused, if_empty=if_empty)
        await self._drop(handle)
        return count

    async def _drop(self, handle: "Handle", **condition: int) -> None:
        record = handle.record
        await self._propose(do="delete_queue", vhost=record.vhost, name=record.name, id=record.id, **condition)

    async def _checked_count(self, handle: "Handle", *, if_unused: bool, if_empty: bool) -> int:
        try:
            figures = await handle.counts()
        except ChannelException:
            if if_empty and not handle.deleted:
                raise Refused("not_empty", f"{handle.text} not empty") from None  # nobody can say that it is
            return 0  # unavailable: it may be deleted all the same
        if if_empty and figures["messages_ready"]:
            raise Refused("not_empty", f"{handle.text} not empty")
        if if_unused and figures["consumers"]:
            raise Refused("in_use", f"{handle.text} in use")
        return int(figures["messages_ready"])

    async def bind_queue(
        self, client: "Client", queue: str, source: str, key: str, arguments: dict[str, Any], *, bind: bool
    ) -> None:
        """queue.bind and queue.unbind; what is not there is unbound already (RabbitMQ)."""
        self._check_binding_rights(client, source, "queue", queue, key)
        if bind:
            self._check_source(client.vhost, source)
        vhost = self._catalogue.vhosts[client.vhost]
        if bind or self._is_bound(client.vhost, queue, source, key, arguments):
            client.check_exclusive(vhost.handle(queue))
            vhost.handle(queue).check_present()
        await self._change_binding(client, source, "queue", queue, key, arguments, bind=bind)

    def _is_bound(self, vhost: str, queue: str, source: str, key: str, arguments: dict[str, Any]) -> bool:
        wanted = BindingRecord(vhost, source, "queue", queue, key, to_json(arguments))
        return self._tree.tree.get(schema.binding_path(wanted)) is not None

    async def purge_queue(self, client: "Client", name: str) -> int:
        """queue.purge; how many messages went."""
        client.access(client.vhost).check("read", "queue", name)
        handle = self._catalogue.vhosts[client.vhost].handle(name)
        client.check_exclusive(handle)
        return await handle.purge()

    async def delete_unused(self, handle: "Handle", term: int) -> None:
        """Its last consumer has gone (auto-delete), or nobody has used it for long enough (x-expires), says the master
        of this term; a successor has to see for itself."""
        await self._drop(handle, term=term)

    async def release_connection(self, client: "Client") -> None:
        """A connection has ended: its exclusive queues go."""
        if client.has_declared_exclusively:
            owner = client.owner
            await self._propose(do="release_connection", node=owner.node, life=owner.life, connection=owner.connection)


def _translated(refused: Refused) -> AmqpException:
    if refused.code == "unknown_kind":
        return ConnectionException(503, refused.why)
    return ChannelException(REPLY_CODES.get(refused.code, 406), refused.why)


def _check_default(name: str) -> None:
    if not name:
        raise ChannelException(403, "operation not permitted on the default exchange")


def _check_reserved(kind: str, name: str) -> None:
    if name.startswith(RESERVED):
        raise ChannelException(403, f"{kind} name '{name}' contains reserved prefix 'amq.*'")
