"""How often messages of a quorum queue were given back, and which of them have been given back too often.

Decides when a delivery limit is passed (RabbitMQ, "Quorum Queues", poison message handling), and keeps what the queue's
owner has to write down of it. It must not know why a message came back, nor what becomes of one that dies.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.queues.page import Piece


class Returns:
    """The counts of one queue that nobody has read yet; the counts themselves are the pieces'."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: list[tuple[int, int, int]] = []

    def count(self, pieces: "list[Piece]", limit: int | None) -> "tuple[list[Piece], list[Piece]]":
        """These came back once more: those that may be delivered again, and those that may not; the count of the latter
        is written down, too, as they may be on their way for long."""
        back: list[Piece] = []
        worn: list[Piece] = []
        for piece in pieces:
            piece.returned += 1
            join_stretch(self.counts, piece)
            if limit is not None and piece.returned > limit:
                worn.append(piece)
            else:
                back.append(piece)
        return back, worn

    def take(self) -> list[tuple[int, int, int]]:
        """(first, last, times) of what came back since the last call."""
        counts, self.counts = self.counts, []
        return counts


def join_stretch(counts: list[tuple[int, int, int]], piece: "Piece") -> None:
    """Add (first, last, times) of this piece, joined to the last stretch where that is possible."""
    if counts:
        first, last, times = counts[-1]
        if (last + 1, times) == (piece.first, piece.returned):
            counts[-1] = (first, piece.last, times)
            return
    counts.append((piece.first, piece.last, piece.returned))
