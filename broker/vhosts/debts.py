"""What publishers on other nodes are still to be told of one queue: up to which sequence their messages are safe.

Decides when an answer goes out, and that one which finds no link waits for it. It must not know how a note of the log
becomes safe.
"""

from collections import deque
from typing import TYPE_CHECKING

from broker.wire import queue_frames as frames

if TYPE_CHECKING:
    from broker.vhosts.switchboard import Switchboard


class Debts:
    """The answers that one master owes to other nodes, in the order of its log."""

    def __init__(self, queue_id: int, switchboard: "Switchboard") -> None:
        self._queue_id = queue_id
        self._switchboard = switchboard
        self.owed: deque[tuple[int, str, int]] = deque()
        """(note, publisher's node, sequence)."""

    def owe(self, note: int, peer: str, sequence: int) -> None:
        """Answer this node up to that sequence when the note is safe."""
        self.owed.append((note, peer, sequence))

    def pay(self, note: int) -> None:
        """Everything up to this note is safe."""
        answers: dict[str, int] = {}
        while self.owed and self.owed[0][0] <= note:
            _, peer, sequence = self.owed.popleft()
            answers[peer] = sequence
        for peer, sequence in answers.items():
            if self._switchboard.send(peer, frames.ANSWERED, frames.encode_pair(self._queue_id, sequence)) < 0:
                self.owed.appendleft((0, peer, sequence))  # it may be told when the way to it is up

    def refuse(self, peer: str, first: int, last: int) -> None:
        """These messages were not let in; said at once, ahead of the answer."""
        self._switchboard.send(peer, frames.REFUSED, frames.encode_triple(self._queue_id, first, last))

    def cancel(self, peer: str) -> None:
        """The node has gone: if it comes back it asks anew."""
        if any(node == peer for _, node, _ in self.owed):
            self.owed = deque(entry for entry in self.owed if entry[1] != peer)
