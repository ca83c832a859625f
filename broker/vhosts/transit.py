"""What is on its way to mirrors: which masters have to look when a mirror's node has got further.

Decides only who is concerned: with thousands of mirrored queues most have nothing under way. It must not know notes.
"""

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.vhosts.local import Local

_Places = deque[tuple[int, "Local"]]
"""Where in the stream to a node the last note of a turn ends, and whose it is."""


class Transit:
    """One per node."""

    def __init__(self) -> None:
        self._unreceived: dict[str, _Places] = {}
        self._unsynced: dict[str, _Places] = {}

    def sent(self, peer: str, offset: int, local: "Local") -> None:
        """Notes of this master went to a mirror; the last one ends there in the stream."""
        place = (offset, local)
        for waiting in (self._unreceived, self._unsynced):
            if peer not in waiting:
                waiting[peer] = deque()
            waiting[peer].append(place)

    def acknowledged(self, peer: str, received: int, synced: int) -> "list[Local]":
        """The node has received and synced its stream up to there: who has to look, each once."""
        concerned: dict[Local, None] = {}
        for waiting, upto in ((self._unreceived.get(peer), received), (self._unsynced.get(peer), synced)):
            while waiting and waiting[0][0] <= upto:
                concerned[waiting.popleft()[1]] = None
        return list(concerned)

    def forget(self, peer: str) -> None:
        """The stream has ended: what was not acknowledged will not be."""
        self._unreceived.pop(peer, None)
        self._unsynced.pop(peer, None)

    def masters(self) -> "Iterator[Local]":
        """Those who have something under way that is not synced, some more than once."""
        return (local for waiting in self._unsynced.values() for _, local in waiting)
