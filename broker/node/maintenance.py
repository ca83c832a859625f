"""Whether clients of AMQP are let in: not while the cluster has agreed that this node is in maintenance.

Decides when the listeners are suspended and opened again, in this life and from its start. Over HTTP, and by commands,
a node in maintenance can still be asked. It must not know who drained it, nor where its masters went.
"""

import logging
from math import inf
from typing import TYPE_CHECKING

import trio

from broker.cluster import schema

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.server.listener import AmqpListener

log = logging.getLogger("warren.node")

WORDS = "Node was put into maintenance mode"
"""What RabbitMQ tells the clients."""
PORT_RETRY_S = 1.0
"""After a port was found taken by somebody else."""


class Maintenance:
    """The listeners of one life of a node."""

    def __init__(self, tree: "Tree", node: str) -> None:
        self._tree = tree
        self._path = schema.member_path(node)
        self._node = node
        self._listeners: list[AmqpListener] = []
        self._turned = trio.Event()

    @property
    def is_drained(self) -> bool:
        """Whether the node is in maintenance, as far as it has heard."""
        member = schema.member(self._tree, self._node)
        return member is not None and member.drained

    def admit(self, listener: "AmqpListener") -> None:
        """Look after this listener, whose port is open and which does not run yet."""
        self._listeners.append(listener)
        if self.is_drained:
            listener.suspend(WORDS)

    async def run(self) -> None:
        """Until cancelled."""
        self._tree.watches.add(self._path, lambda _change: self._turned.set())
        while True:
            self._turned = trio.Event()
            with trio.move_on_after(inf if await self._obey() else PORT_RETRY_S):
                await self._turned.wait()

    async def _obey(self) -> bool:
        """Whether every listener is now as it should be."""
        obeyed = True
        for listener in self._listeners:
            if self.is_drained:
                listener.suspend(WORDS)
                continue
            try:
                await listener.resume()
            except OSError as error:
                log.error("event=port_taken address=%s why=%r", listener.address, error.strerror)
                obeyed = False
        return obeyed
