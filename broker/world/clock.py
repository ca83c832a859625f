"""Wall time, for what humans read and for the stamps of messages.

Decides what time it is. It must not be used for waiting or for time-outs: those go by trio's clock, which no
administrator and no leap second can move.
"""

import time
from abc import ABC, abstractmethod


class Clock(ABC):
    """Tells the time of day."""

    @abstractmethod
    def stamp_ms(self) -> int:
        """Milliseconds since 1970, UTC. May jump, also backwards."""


class RealClock(Clock):
    """The clock of the machine."""

    def stamp_ms(self) -> int:
        return time.time_ns() // 1_000_000
