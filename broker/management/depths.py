"""What lies in one queue: looked at beside the counters, without disturbing anybody.

Decides how far a look goes: what is in many small pieces is not counted piece by piece. It must not know names, nodes
or who asks.
"""

from typing import TYPE_CHECKING, Any

from broker.queues.page import Page, bytes_of
from broker.wire.properties import Properties

if TYPE_CHECKING:
    from broker.queues.queue import Queue

RUNS_MAX = 20_000
"""So many runs are looked at for one call; queues for which that is not enough go without the counts of them."""


class Sounding:
    """Looks at several queues for one call."""

    def __init__(self) -> None:
        self._runs_left = RUNS_MAX

    def take(self, queue: "Queue", *, durable: bool) -> dict[str, Any]:
        """`persistent` and `persistent_bytes`, None where uncounted; the oldest message's `timestamp`; who consumes."""
        empty = not queue.messages_ready and not queue.messages_unacked
        persistent = (0, 0) if empty or not durable else self._persistent(queue)
        exclusive = next((one.tag for one in queue.consumers if one.exclusive), None)
        active = queue.consumers.active
        return {
            "persistent": None if persistent is None else persistent[0],
            "persistent_bytes": None if persistent is None else persistent[1],
            "head_timestamp": None if empty else _head_timestamp(queue),
            "exclusive_consumer": exclusive,
            "active_consumer": None if active is None else active.tag,
        }

    def _persistent(self, queue: "Queue") -> tuple[int, int] | None:
        count = size_bytes = 0
        for piece in queue.held():
            self._runs_left -= 1
            if self._runs_left < 0:
                self._runs_left = 0
                return None
            if piece.persistent if isinstance(piece, Page) else piece.traits.persistent:
                count += piece.count
                size_bytes += bytes_of(piece)
        return count, size_bytes


def _head_timestamp(queue: "Queue") -> int | None:
    """That of the next message, or of the first unacknowledged one if nothing is ready; None if it is not in memory."""
    front = queue.front() or next(queue.held(), None)
    return None if front is None or isinstance(front, Page) else Properties.of(front.contents[0]).timestamp
