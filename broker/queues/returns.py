"""How often messages of a quorum queue were given back, and which of them have been given back too often.

Decides when a delivery limit is passed (RabbitMQ, "Quorum Queues", poison message handling), and keeps what the queue's
owner has to write down of it. It must not know why a message came back, nor what becomes of one that dies.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.wire.message import Run


class Returns:
    """The counts of one queue that nobody has read yet; the counts themselves are the runs'."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: list[tuple[int, int, int]] = []

    def count(self, runs: "list[Run]", limit: int | None) -> "tuple[list[Run], list[Run]]":
        """These runs came back once more: those that may be delivered again, and those that may not; the count of the
        latter is written down, too, as they may be on their way for long."""
        back: list[Run] = []
        worn: list[Run] = []
        for run in runs:
            run.returned += 1
            join_stretch(self._counts, run)
            if limit is not None and run.returned > limit:
                worn.append(run)
            else:
                back.append(run)
        return back, worn

    def take(self) -> list[tuple[int, int, int]]:
        """(first, last, times) of what came back since the last call."""
        counts, self._counts = self._counts, []
        return counts


def join_stretch(counts: list[tuple[int, int, int]], run: "Run") -> None:
    """Add (first, last, times) of this run, joined to the last stretch where that is possible."""
    if counts:
        first, last, times = counts[-1]
        if (last + 1, times) == (run.first, run.returned):
            counts[-1] = (first, run.last, times)
            return
    counts.append((run.first, run.last, run.returned))
