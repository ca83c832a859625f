"""A node without a life: its process stays, and answers commands.

Decides what it still says: why it does not serve, by `warren status` and, where it has failed, over HTTP; that it does
not speak to other nodes. It must not serve anybody.
"""

import logging
from typing import TYPE_CHECKING

import trio

from broker.management.door import bad_news
from broker.node.certificates import contexts_of
from broker.node.commands import Commands
from broker.peers.introduction import Credentials, Identity
from broker.peers.reception import Reception

if TYPE_CHECKING:
    from broker.node.node import Node

log = logging.getLogger("warren.node")

LOOKS_DEAD_S = 1.0
"""So long the address of a node without a life refuses: peers take that for the proof of its death that it is."""


async def rest(node: "Node") -> None:
    """Answer until an operator wants a life again, or the process is told to stop."""
    report, world, application = node.report, node.world, node.application
    if report.failure:
        log.critical("event=failed node=%s why=%r", node.name, report.failure)
    else:
        log.info("event=stopped node=%s", node.name)
    with trio.move_on_after(LOOKS_DEAD_S):
        await node.stopping.wait()
    commands = Commands(report, node.timeline, None, application.verbs)
    credentials = Credentials(Identity(node.name, 0, ""), cluster=node.cluster.name, cookie=node.cluster.cookie)
    reception = Reception(
        credentials,
        {},
        {},
        tls=contexts_of(node.cluster.tls),
        admin=commands.answer,
        objection=lambda *_: f"{node.name} rests",
    )
    listener = await world.network.listen(report.link)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reception.run, listener)
            if world.http is not None and report.failure:
                http = world.http(bad_news(report.failure), report.http)
                await http.open()
                nursery.start_soon(http.run)
            await application.rest_until_wanted()
            nursery.cancel_scope.cancel()
    finally:
        listener.close_now()
