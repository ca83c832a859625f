"""A node whose disk has failed is as good as killed; it stays only to say so (DESIGN S8).

Decides what it still answers: `warren status` and `warren events` over the admin road, bad news over HTTP. It must not
serve anybody, nor write anything.
"""

import logging
from typing import TYPE_CHECKING

import trio

from broker.management.door import bad_news
from broker.node.certificates import contexts_of
from broker.node.commands import Commands
from broker.peers.greeting import Credentials, Identity
from broker.peers.reception import Reception

if TYPE_CHECKING:
    from broker.node.node import Node

log = logging.getLogger("warren.node")

LOOKS_DEAD_S = 1.0
"""So long a failed node's address refuses: peers take that for the proof of its death that it is."""


async def say_why(node: "Node") -> None:
    """Answer until the node is told to stop."""
    report, world = node.report, node.world
    log.critical("event=failed node=%s why=%r", node.name, report.failure)
    with trio.move_on_after(LOOKS_DEAD_S):
        await node.stopping.wait()
    commands = Commands(report, node.timeline, None)
    credentials = Credentials(Identity(node.name, 0, ""), cluster=node.cluster.name, cookie=node.cluster.cookie)
    reception = Reception(credentials, {}, {}, tls=contexts_of(node.cluster.tls), admin=commands.answer)
    listener = await world.network.listen(report.link)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reception.run, listener)
        if world.http is not None:
            http = world.http(bad_news(report.failure), report.http)
            await http.open()
            nursery.start_soon(http.run)
        await node.stopping.wait()
        nursery.cancel_scope.cancel()
