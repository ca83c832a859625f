"""One direction of a simulated connection: what is under way, when it arrives, and who is woken then.

Decides delay, order, room and breaks of one stream of bytes. It must not know who listens where.
"""

from collections import deque
from typing import TYPE_CHECKING

import trio

from tests.simulation.virtual_time import Bell

if TYPE_CHECKING:
    from tests.simulation.network import SimNetwork


class Pipe:
    """One direction of a connection: pieces under way, each with its time of arrival, None while it is held back.

    An empty piece is the end of the stream, None a reset.
    """

    def __init__(self, network: "SimNetwork", source: str, target: str) -> None:
        self.network = network
        self.source = source
        self.target = target
        self.pieces: deque[list[bytes | float | None]] = deque()
        self.size_bytes = 0
        self.arrivals = Bell()
        """Rings when what is first has arrived, or the reader has to look why it never will."""
        self.room = Bell()
        """Rings when there is room again, or the sender has to look why there never will be."""
        self.finished = False
        self.reader_gone = False
        self._last_arrival = 0.0
        network.pipes.append(self)

    def put(self, data: bytes | None) -> None:
        """Send a piece, perhaps as two."""
        chance = self.network.chance
        if data and len(data) > 1 and chance.random() < 0.25:
            at = chance.randrange(1, len(data))
            self._put(data[:at])
            data = data[at:]
        self._put(data)

    def finish(self, last: bytes | None) -> None:
        """Send the end or a reset; nothing comes after it."""
        if not self.finished:
            self.finished = True
            self._put(last)
            self.room.ring()
            self._forget_if_done()

    def leave(self) -> None:
        """The reader goes away."""
        self.reader_gone = True
        self.arrivals.ring()
        self.room.ring()
        self._forget_if_done()

    async def take(self, count_max: int) -> bytes:
        """The next bytes that have arrived, empty at the end."""
        while not self.has_arrived():
            arrival = self.pieces[0][1] if self.pieces and self.target not in self.network.frozen else None
            await self.arrivals.wait(arrival if isinstance(arrival, float) else float("inf"))
            if self.reader_gone:
                raise trio.ClosedResourceError("this stream was closed here")
        pieces, data = self.pieces, b""
        while True:
            piece = pieces[0][0]
            if not piece:
                break
            assert isinstance(piece, bytes)
            part = piece[: count_max - len(data)]
            data = data + part if data else part
            if len(part) < len(piece):
                pieces[0][0] = piece[len(part) :]
                break
            pieces.popleft()
            if len(data) == count_max or not self.has_arrived():
                break
        if data:
            self.size_bytes -= len(data)
            self.room.ring()
        elif pieces[0][0] is None:
            raise trio.BrokenResourceError("connection reset")
        return data

    def has_arrived(self) -> bool:
        """Whether something can be taken now."""
        if not self.pieces or self.target in self.network.frozen:
            return False
        arrival = self.pieces[0][1]
        return isinstance(arrival, float) and arrival <= trio.current_time()

    def room_bytes(self) -> int:
        """What may be sent now. Raises BrokenResourceError if the sender knows that nobody reads any more."""
        if self.reader_gone and not self.network.is_cut(self.target, self.source):
            raise trio.BrokenResourceError("connection reset")
        return self.network.capacity_bytes - self.size_bytes

    def abort(self, killed: str) -> None:
        """One of the two processes is gone: of what it had sent some arrives, then the connection breaks."""
        if killed == self.target:
            self.leave()
        else:
            kept = self.network.chance.randint(0, len(self.pieces))
            while len(self.pieces) > kept:
                piece = self.pieces.pop()[0]
                self.size_bytes -= len(piece) if isinstance(piece, bytes) else 0
            self.finished = False
            self.finish(None)

    def hold(self, now: float) -> None:
        """The wire is cut: what has not arrived yet will not."""
        for piece in self.pieces:
            if isinstance(piece[1], float) and piece[1] > now:
                piece[1] = None

    def reschedule(self) -> None:
        """Give what was held back a time of arrival, if the way is free again."""
        for piece in self.pieces:
            if piece[1] is None:
                piece[1] = self._arrival()

    def _put(self, data: bytes | None) -> None:
        arrival = self._arrival()
        self.pieces.append([data, arrival])
        self.size_bytes += len(data or b"")
        if len(self.pieces) == 1 and arrival is not None:  # else whoever waits waits for what is first
            self.arrivals.ring_at(arrival)

    def _forget_if_done(self) -> None:
        if self.finished and self.reader_gone and self in self.network.pipes:
            self.network.pipes.remove(self)

    def _arrival(self) -> float | None:
        network = self.network
        if network.is_cut(self.source, self.target) or self.source in network.frozen:
            return None
        self._last_arrival = max(self._last_arrival, trio.current_time() + network.delay(self.source, self.target))
        return self._last_arrival
