"""Whether this node runs short of memory or disk: RabbitMQ's two alarms.

Decides what the limits are and how they are written. It must not know what follows from an alarm: `pressure` does.
Source: RabbitMQ 3.10, `vm_memory_monitor`, `rabbit_disk_monitor`, `rabbit_resource_monitor_misc`.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from broker.storage.journal import RESERVED_BYTES

if TYPE_CHECKING:
    from broker.storage.journal import Journal
    from broker.storage.reserve import Reserve
    from broker.world.memory import Memory

MEMORY_HIGH_WATERMARK = 0.4
DISK_FREE_LIMIT_BYTES = 50_000_000
GIVE_BACK_EVERY = 10
"""Looks from one attempt to get by with less memory to the next."""

BYTES_MAX = 1 << 63

Limit = int | float
"""Bytes, or if it is a float a share of the machine's memory."""

_SIZE = re.compile(r"(-?\d+)(?:(k|m|g)(i?b)?)?", re.IGNORECASE)
_EXPONENTS = {"k": 1, "m": 2, "g": 3}


class AlarmLimits:
    """The limits of one node; whoever changes them does so until the process ends.

    `reserve`: what is set aside on the disk already, so that publishers cannot use it up.
    """

    def __init__(
        self,
        memory: Limit = MEMORY_HIGH_WATERMARK,
        disk_free: Limit = DISK_FREE_LIMIT_BYTES,
        reserve: "Reserve | None" = None,
    ) -> None:
        self.memory = memory
        self.disk_free = disk_free
        self.reserve = reserve


class Alarms:
    """The two gauges of a node."""

    def __init__(self, journal: "Journal", memory: "Memory | None", limits: AlarmLimits) -> None:
        self.limits = limits
        self._journal = journal
        self._memory = memory
        self._looks = GIVE_BACK_EVERY
        """Since memory was last given back."""

    def look(self) -> list[str]:
        """What is short now: `disk`, `memory`."""
        found = []
        if self._journal.free_bytes() < self.disk_free_limit_bytes:
            found.append("disk")
        if self._is_short_of_memory():
            found.append("memory")
        return found

    @property
    def memory_limit_bytes(self) -> int:
        """How much this process may use; 0 where nobody can say how much there is."""
        return 0 if self._memory is None else _bytes(self.limits.memory, self._memory)

    @property
    def disk_free_limit_bytes(self) -> int:
        """How much room must be left; with what is set aside never less than the journal needs without publishers."""
        reserve = self.limits.reserve
        missing_bytes = RESERVED_BYTES - (0 if reserve is None else reserve.held_bytes)
        return max(missing_bytes, _bytes(self.limits.disk_free, self._memory))

    def _is_short_of_memory(self) -> bool:
        memory, limit = self._memory, self.memory_limit_bytes
        self._looks += 1
        if memory is None or memory.used_bytes() <= limit:
            return False
        if self._looks >= GIVE_BACK_EVERY:  # what is only kept for later would hold the alarm for ever
            self._looks = 0
            memory.give_back()
        return memory.used_bytes() > limit

    def figures(self) -> dict[str, int]:
        """The limits, and how much room there is."""
        return {
            "mem_limit": self.memory_limit_bytes,
            "disk_free_limit": self.disk_free_limit_bytes,
            "disk_free": self._journal.free_bytes(),
        }


def memory_limit(value: Any) -> Limit:
    """`vm_memory_high_watermark` as people write it: 0.4, {relative: 0.4}, {absolute: "2GB"}. Raises ValueError."""
    limit = _limit(value)
    if isinstance(limit, float) and not 0 <= limit <= 1:
        raise ValueError("The threshold should be a fraction between 0.0 and 1.0")
    return limit


def disk_free_limit(value: Any) -> Limit:
    """`disk_free_limit` as people write it: "50MB", 50000000, {relative: 1.5}, {absolute: "1GB"}. Raises ValueError."""
    limit = _limit(value)
    if isinstance(limit, float) and not 0 <= limit < 1 << 20:
        raise ValueError("The limit should be a multiple of the machine's memory")
    return limit


def _limit(value: Any) -> Limit:
    if isinstance(value, Mapping) and len(value) == 1:
        ((key, inner),) = value.items()
        if key == "relative" and isinstance(inner, int | float) and not isinstance(inner, bool):
            return float(max(-1, min(inner, BYTES_MAX)))
        if key == "absolute" and isinstance(inner, int | str) and not isinstance(inner, bool):
            return parse_size(inner)
    elif isinstance(value, float):
        return value
    elif isinstance(value, int | str) and not isinstance(value, bool):
        return parse_size(value)
    raise ValueError('use {relative: 0.4} for a share of the machine\'s memory, or {absolute: "2GB"}')


def parse_size(value: int | str) -> int:
    """Bytes of a text such as 50MB (powers of 1000), 50MiB or 50m (of 1024). Raises ValueError."""
    found = _SIZE.fullmatch(str(value))
    if found is None:
        raise ValueError("use a whole number of bytes, or one with a unit: 2000000000, 2GB, 2GiB")
    number, unit, kind = found.groups("")
    base = 1000 if kind.lower() == "b" else 1024
    size = int(number) * (base ** _EXPONENTS[unit.lower()] if unit else 1)
    if abs(size) >= BYTES_MAX:
        raise ValueError("no machine has so many bytes")
    return size


def _bytes(limit: Limit, memory: "Memory | None") -> int:
    if isinstance(limit, float):
        return int(limit * memory.total_bytes()) if memory is not None else 0
    return limit
