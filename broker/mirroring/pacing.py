"""How fast mirrors are filled, if somebody has set a limit (RabbitMQ's `mirroring_sync_` settings).

Decides how many messages go out before the mirror has answered, and how long a catch-up rests so that it keeps below so
many bytes a second. Each mirror of each queue has a limit of its own. It must not know what is sent, nor who waits.
"""

from collections.abc import Mapping
from typing import Any, Final

BATCH_MESSAGES: Final = 4096
"""RabbitMQ's default: then room on the link alone decides how much is under way."""
EVEN_S: Final = 0.05
"""RabbitMQ looks so often whether it is too fast."""


class Pacing:
    """The limits of one node, and what its catch-ups have used of them."""

    __slots__ = ("_batch_messages", "_paid", "bytes_per_s")

    def __init__(self, batch_messages: int = BATCH_MESSAGES, bytes_per_s: int = 0) -> None:
        """`bytes_per_s`: 0 for no limit."""
        self._batch_messages = batch_messages
        self.bytes_per_s = bytes_per_s
        self._paid: dict[tuple[int, str], float] = {}
        """By queue and node the moment at which all that was sent has been paid for."""

    def batch_of(self, definition: Mapping[str, Any], mean_bytes: int) -> int:
        """Messages at a time under these policies; 1 stands for the setting (RabbitMQ). With a limit no more than what
        a little while may carry, so that it is kept evenly."""
        batch: int = definition.get("ha-sync-batch-size", 1)
        if batch == 1:
            batch = self._batch_messages
        return min(batch, max(1, int(EVEN_S * self.bytes_per_s) // mean_bytes)) if self.bytes_per_s else batch

    def carries_bytes(self, within_s: float) -> int | None:
        """How much a catch-up may send in that time; None without a limit."""
        return int(within_s * self.bytes_per_s) if self.bytes_per_s else None

    def spend(self, queue_id: int, node: str, size_bytes: int, now: float) -> None:
        """So much went out."""
        if self.bytes_per_s:
            begin = max(now, self._paid.get((queue_id, node), now))
            self._paid[queue_id, node] = begin + size_bytes / self.bytes_per_s

    def rest_s(self, queue_id: int, node: str, now: float) -> float:
        """How long it is until the next may go out; 0 for at once."""
        paid = self._paid.get((queue_id, node), now)
        if paid <= now:
            self._paid.pop((queue_id, node), None)
        return max(0.0, paid - now)
