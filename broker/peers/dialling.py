"""Keeping one lane to one peer up: dial, greet, hand over, and after the end again.

Decides when to dial; it must not know what travels. After the end of a connection the first dial is immediate. While a
known life may have ended, refused dials follow one another within milliseconds, until that is proven (S10). Otherwise
the pauses grow from 20 ms to 1 s, and end early when the peer itself dials here.
"""

import logging
from random import Random

import trio

from broker.peers.connection import Outgoing
from broker.peers.greeting import dial_and_greet
from broker.peers.introduction import Credentials, Stranger, Tls
from broker.peers.peer import Peer
from broker.world.network import DialFailure, Network, Refused

log = logging.getLogger("warren.peers")

PAUSE_MIN_S = 0.020
PAUSE_MAX_S = 1.0
LOOK_AGAIN_S = 0.002
LASTING_S = 0.05
"""A connection that lived so long was a good one: the pauses begin anew."""


class Backoff:
    """How long to rest before the next attempt: not at all, then longer and longer, never in step with others."""

    __slots__ = ("_attempts", "_chance")

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._attempts = 0

    def reset(self) -> None:
        """Things went well."""
        self._attempts = 0

    def pause_s(self) -> float:
        """Seconds to rest now; counts the attempt."""
        self._attempts += 1
        if self._attempts == 1:
            return 0.0
        longest = min(PAUSE_MAX_S, PAUSE_MIN_S * 2.0 ** min(self._attempts - 2, 16))
        return max(PAUSE_MIN_S, longest * self._chance.uniform(0.5, 1.0))


class Dialler:
    """Keeps one lane to one peer up."""

    def __init__(
        self,
        network: Network,
        credentials: Credentials,
        peer: Peer,
        lane: str,
        chance: Random,
        *,
        tls: Tls | None,
        backlog_bytes_max: int,
    ) -> None:
        self._network = network
        self._credentials = credentials
        self._peer = peer
        self._lane = lane
        self._tls = tls
        self._backlog_bytes_max = backlog_bytes_max
        self._backoff = Backoff(chance)
        self._noted = ""

    async def run(self) -> None:
        """Until cancelled."""
        peer = self._peer
        while True:
            await peer.within_reach(self._lane)
            kick = peer.next_kick(self._lane)
            started = trio.current_time()
            try:
                half = await self._connect()
            except Refused as failure:
                self._note(failure)
                peer.refused(started, trio.current_time())
            except (DialFailure, Stranger) as failure:
                self._note(failure)
                peer.hear_refusal(str(failure) if isinstance(failure, Stranger) else "")
                peer.evidence.failed()
            else:
                self._noted = peer.refusal = ""
                await self._use(half)
                kick = peer.next_kick(self._lane)
            await self._rest(kick)

    async def _connect(self) -> Outgoing:
        """A greeted connection, or DialFailure or Stranger."""
        peer = self._peer
        offset = peer.offsets[self._lane]
        stream, identity = await dial_and_greet(
            self._network,
            peer.address,
            self._credentials,
            self._lane,
            expected=peer.name,
            offset=offset,
            tls=None if self._tls is None else self._tls.dialler,
        )
        return Outgoing(stream, identity, self._lane, offset=offset, backlog_bytes_max=self._backlog_bytes_max)

    async def _use(self, half: Outgoing) -> None:
        opened_at = trio.current_time()
        try:
            if self._peer.opens(half):
                await half.run()
        finally:
            self._peer.closes(half, "stopped")
        if trio.current_time() - opened_at >= LASTING_S:
            self._backoff.reset()

    async def _rest(self, kick: trio.Event) -> None:
        if self._peer.evidence.wants_another_look():
            await trio.sleep(LOOK_AGAIN_S)
            return
        pause_s = self._backoff.pause_s()
        await trio.sleep(min(pause_s, PAUSE_MIN_S))  # not even kicks make two nodes dial each other in a hot loop
        if pause_s > PAUSE_MIN_S:
            with trio.move_on_after(pause_s - PAUSE_MIN_S):
                await kick.wait()

    def _note(self, failure: Exception) -> None:
        """Say why the link is not up, once for each reason."""
        if str(failure) != self._noted:
            self._noted = str(failure)
            log.info("no_link peer=%s lane=%s reason=%r", self._peer.name, self._lane, self._noted)
