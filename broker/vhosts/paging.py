"""How much of this node's messages stays in memory; the contents of the others lie in the journal only.

Decides how many bytes the lines of each queue and copy may keep, and writes down what leaves memory unless it is on
disk anyway: persistent messages of durable queues are. It must not know when contents are needed again, nor who asks
for them. With `data: memory` there is no place to go to, so everything stays.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.storage.journal import Journal
    from broker.wire.message import Run

WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""A queue may keep so much while few queues have a backlog."""
WINDOW_BYTES_MIN = 128 * 1024
"""And so much in any case; a lazy queue no more than that."""
WINDOWS_BYTES = 64 * 1024 * 1024
"""What all windows of a node come to."""


class Paging:
    """One per node."""

    def __init__(self, journal: "Journal") -> None:
        self._journal = journal
        self._heavy: set[int] = set()
        """Queue ids of lines with more in memory than every line may have."""
        self.window_bytes = WINDOW_BYTES_MAX
        """How much each of the lines with a backlog may keep now."""

    def _share(self) -> None:
        share = WINDOWS_BYTES // max(1, len(self._heavy))
        self.window_bytes = max(WINDOW_BYTES_MIN, min(WINDOW_BYTES_MAX, share))

    def relieve(
        self,
        queue_id: int,
        term: int,
        resident_bytes: int,
        page_out: "Callable[[int], list[Run]]",
        *,
        durable: bool,
        lazy: bool = False,
    ) -> None:
        """A line has so much in memory; `page_out` lets it forget what is more than it may keep, and says what."""
        if resident_bytes <= WINDOW_BYTES_MIN or not self._journal.keeps:
            self.forget(queue_id)
            return
        if queue_id not in self._heavy:
            self._heavy.add(queue_id)
            self._share()
        window_bytes = WINDOW_BYTES_MIN if lazy else self.window_bytes
        if resident_bytes <= window_bytes:
            return
        for run in page_out(window_bytes):
            if not (run.stored or (durable and run.traits.persistent)):
                self._journal.page_out(queue_id, term, run)

    def forget(self, queue_id: int) -> None:
        """The line is no more, or it is short."""
        if queue_id in self._heavy:
            self._heavy.discard(queue_id)
            self._share()
