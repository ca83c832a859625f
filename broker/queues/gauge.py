"""A figure that is asked for each turn and costs something to find out.

Decides when it is found out anew: when so many messages have come or gone that it may be another, or after so many
turns in any case. What only passes through a queue between two looks is thus never measured. It must not know what is
measured.
"""

from collections.abc import Callable

COUNT_MIN = 64
"""So few messages are measured whenever their number is another."""
TURNS_MAX = 16


class Gauge:
    """Remembers the figure and how many messages it was for."""

    __slots__ = ("_count", "_measure", "_turns", "_value")

    def __init__(self, measure: Callable[[], int]) -> None:
        self._measure = measure
        self._count = self._value = self._turns = 0

    def read(self, count: int) -> int:
        """The figure, now that there are so many messages."""
        self._turns += 1
        changed = abs(count - self._count)
        if (changed and (count <= COUNT_MIN or changed > self._count >> 3)) or self._turns >= TURNS_MAX:
            return self.measure(count)
        return self._value

    def measure(self, count: int) -> int:
        """The figure as it is."""
        self._count, self._turns, self._value = count, 0, self._measure()
        return self._value
