"""What all AMQP sessions of one node share, and who they are.

Decides nothing: it holds the hall that clients enter, the limits they are offered, the gate that publishers pass and
the turn in which output is written. It must not know what a session does.
"""

from random import Random
from typing import TYPE_CHECKING

from broker.amqp.handshake import Limits
from broker.meters.meters import AMQP
from broker.server.gate import Gate
from broker.server.turn import Turn
from broker.vhosts.hall import Hall
from broker.world.clock import Clock

if TYPE_CHECKING:
    from broker.server.session import Session

HANDSHAKE_TIMEOUT_S = 10.0
"""How long a client may take to open its connection (RabbitMQ's handshake_timeout)."""

CONSUMER_TIMEOUT_MS = 1_800_000
"""How long a consumer may take to acknowledge a delivery (RabbitMQ's consumer_timeout)."""
LOOKS_PER_TIMEOUT = 10
LOOK_EVERY_MAX_S = 60.0
"""Deliveries are looked at so often within that time, and at least so often (RabbitMQ's channel_tick_interval)."""


class Door:
    """One per node; several listeners may lead to it."""

    def __init__(
        self,
        hall: Hall,
        gate: Gate,
        clock: Clock,
        chance: Random,
        limits: Limits,
        *,
        handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S,
        consumer_timeout_ms: int = CONSUMER_TIMEOUT_MS,
    ) -> None:
        self.hall = hall
        self.gate = gate
        self.clock = clock
        self.chance = chance
        self.limits = limits
        self.handshake_timeout_s = handshake_timeout_s
        self.consumer_timeout_ms = consumer_timeout_ms
        self.turn = Turn(hall.switchboard)
        self.traffic = hall.meters.traffic[AMQP]
        self.sessions: set[Session] = set()
        self._serial = 0
        gate.on_change = self._tell_blocked

    @property
    def look_every_s(self) -> float:
        """How often sessions look for deliveries that nobody answers."""
        return min(self.consumer_timeout_ms / 1000 / LOOKS_PER_TIMEOUT, LOOK_EVERY_MAX_S)

    async def passage(self) -> None:
        """Return when the gate is open, and this node knows of what has been bound meanwhile (DESIGN S15)."""
        await self.gate.passage()
        await self.hall.declarations.current()

    def next_serial(self) -> int:
        """Tells sessions apart even if a client comes again from the same port."""
        self._serial += 1
        return self._serial

    def _tell_blocked(self) -> None:
        for session in tuple(self.sessions):
            session.tell_blocked()
