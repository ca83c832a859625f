"""One clock for all sessions: sends signs of life and ends the sessions of clients that give none.

Decides only when to look. What is due is decided by each connection; a session that is not reading (its publisher must
wait) is not held against its client.
"""

from collections.abc import Collection
from typing import Protocol

import trio

LOOK_EVERY_S = 0.5
"""A heartbeat is due at half an interval of at least one second."""


class Pulse(Protocol):
    """A session, as far as its heart goes."""

    def beat(self, now: float) -> None:
        """Send what is due; end if the client has been silent for too long."""


async def keep_beating(sessions: Collection[Pulse]) -> None:
    """Look after the sessions, those to come too, until cancelled."""
    while True:
        await trio.sleep(LOOK_EVERY_S)
        now = trio.current_time()
        for session in tuple(sessions):
            session.beat(now)
