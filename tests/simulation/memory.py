"""The memory of a simulated host, as a test says it is used."""

from broker.world.memory import Memory

TOTAL_BYTES = 1_000_000_000


class SimMemory(Memory):
    """Nothing is measured."""

    def __init__(self) -> None:
        self.used = 0

    def total_bytes(self) -> int:
        """See `Memory.total_bytes`."""
        return TOTAL_BYTES

    def used_bytes(self) -> int:
        """See `Memory.used_bytes`."""
        return self.used

    def give_back(self) -> None:
        """See `Memory.give_back`; all of it is in use."""
