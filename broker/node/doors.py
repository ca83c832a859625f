"""The doors of a node: AMQP and HTTP, each also over TLS.

Decides what is opened for clients in one life, and in what order. It must not know what happens behind a door.
"""

from typing import TYPE_CHECKING

import trio

from broker.amqp.handshake import Limits
from broker.management.door import HttpDoor, api
from broker.node.certificates import client_context, web_context
from broker.node.maintenance import Maintenance
from broker.node.store import unless_disk_fails
from broker.server.door import Door
from broker.server.gate import Gate
from broker.server.listener import AmqpListener
from broker.vhosts.upkeep import Upkeep

if TYPE_CHECKING:
    from broker.management.census import Census
    from broker.management.visit import Command
    from broker.node.node import Node
    from broker.vhosts.hall import Hall


class Doors:
    """Opened last, closed first."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._open: list[AmqpListener | HttpDoor] = []

    async def open(self, hall: "Hall", census: "Census", command: "Command", nursery: trio.Nursery) -> None:
        """Let clients in; HTTP has `command` carried out. Raises OSError if a port is taken."""
        node = self._node
        settings, world, report = node.config.settings, node.world, node.report
        limits = Limits(
            channel_max=settings.channel_max,
            frame_max=settings.frame_max,
            heartbeat_s=settings.heartbeat,
            message_bytes_max=settings.max_message_size,
        )
        gate = Gate()
        nursery.start_soon(Upkeep(hall, settings.net_ticktime, gate.close, gate.open).run)
        door = Door(
            hall,
            gate,
            world.clock,
            world.chance,
            limits,
            handshake_timeout_s=settings.handshake_timeout / 1000,
            consumer_timeout_ms=settings.consumer_timeout,
        )
        maintenance = Maintenance(hall.tree.tree, node.name)
        amqp = AmqpListener(door, world.network, report.amqp)
        await self._enter(amqp, nursery, maintenance)
        if report.amqps is not None and node.cluster.tls is not None:
            amqps = AmqpListener(door, world.network, report.amqps, client_context(node.cluster.tls))
            await self._enter(amqps, nursery, maintenance)
            report.amqps = amqps.address
        if world.http is not None:
            nursery.start_soon(census.testimony.sampler.run)
            load = api(hall, census, command)
            http = world.http(load, report.http)
            await self._enter(http, nursery)
            report.http = http.address
            if report.https is not None and node.cluster.tls is not None:
                https = world.http(load, report.https, web_context(node.cluster.tls))
                await self._enter(https, nursery)
                report.https = https.address
        nursery.start_soon(maintenance.run)
        report.open(hall, amqp.address)

    async def _enter(
        self, door: AmqpListener | HttpDoor, nursery: trio.Nursery, maintenance: Maintenance | None = None
    ) -> None:
        await door.open()
        if maintenance is not None and isinstance(door, AmqpListener):
            maintenance.admit(door)
        self._open.append(door)
        nursery.start_soon(unless_disk_fails, door.run)

    async def close(self, grace_s: float) -> None:
        """Let nobody in any more, and return when everybody has left, or each door had so long for it."""
        for door in self._open:
            await door.close(grace_s)
