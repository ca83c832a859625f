"""The two halves of a link: what I send on the connection I dialled, what I read on the one that was dialled to me.

Decides how frames are queued, sent and handed out; it must not know who dials, who is greeted, or what a frame means.
A half ends once, for a reason that fits a log line; from that moment nothing is queued and no frame is handed out.
"""

from collections import deque
from collections.abc import Callable, Mapping

import trio

from broker.peers.introduction import Identity
from broker.wire.peer_frames import FRAME_BYTES_MAX, HEAD, FrameReader, PeerFrameError
from broker.world.network import Stream

READ_BYTES = 256 * 1024
SEND_BYTES = 1024 * 1024
"""About so much is joined for one send."""

Handler = Callable[[str, bytes, int], None]
"""Takes the peer's name, a payload and the stream offset behind the frame; never waits."""


class Half:
    """What both halves have: a stream, who is at its other end, and an end.

    A *deaf* half pretends that nothing reaches this node any more, be it bytes or the end of the connection. There is
    no way back: bytes are missing from the stream.
    """

    def __init__(self, stream: Stream, identity: Identity, lane: str) -> None:
        self.stream = stream
        self.identity = identity
        self.lane = lane
        self.open = True
        self.deaf = False
        self.reason = ""
        self._scope = trio.CancelScope()

    def end(self, reason: str) -> None:
        """Close at once; the first reason stays."""
        if self.open:
            self.open = False
            self.reason = reason
            self.stream.close_now()
            self._scope.cancel()

    async def _broken(self, reason: str) -> None:
        """The peer has gone. A deaf half does not know: it waits to be ended."""
        if self.deaf:
            await trio.sleep_forever()
        self.end(reason)


class Outgoing(Half):
    """My half: what is queued leaves in order, joined once a turn. A *mute* one drops it, and counts it as sent."""

    def __init__(self, stream: Stream, identity: Identity, lane: str, *, offset: int, backlog_bytes_max: int) -> None:
        super().__init__(stream, identity, lane)
        self.offset = offset
        self.mute = False
        self.backlog_bytes = 0
        self._backlog_bytes_max = backlog_bytes_max
        self._queue: deque[bytes] = deque()
        self._work = trio.Event()
        self._progress: trio.Event | None = None

    def send(self, kind: int, payload: bytes) -> int:
        """Queue a frame; the stream offset behind it, or -1 if this half has ended (perhaps by this very frame)."""
        if not self.open:
            return -1
        length = len(payload)
        assert length <= FRAME_BYTES_MAX, f"a frame of {length} bytes"
        size = HEAD.size + length
        if not self.mute:
            if self.backlog_bytes > self._backlog_bytes_max:
                self.end("backlog full")
                return -1
            self.backlog_bytes += size
            self._queue.append(HEAD.pack(length, kind))
            self._queue.append(payload)
            self._work.set()
        self.offset += size
        return self.offset

    async def drained(self, below_bytes: int) -> bool:
        """Wait until no more than `below_bytes` are queued; False if the half ended first."""
        while self.open and self.backlog_bytes > below_bytes:
            if self._progress is None:
                self._progress = trio.Event()
            await self._progress.wait()
        return self.open

    def silence(self) -> None:
        """Become mute: the cut that begins now swallows what is queued, too."""
        self.mute = True
        self.backlog_bytes -= sum(map(len, self._queue))
        self._queue.clear()
        self._tell_progress()

    def end(self, reason: str) -> None:
        """See `Half.end`."""
        super().end(reason)
        self._tell_progress()

    async def run(self) -> None:
        """Send until the half ends."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch)
                    await self._write()
        finally:
            self.end("stopped")

    async def _write(self) -> None:
        try:
            while True:
                if not self._queue:
                    self._work = trio.Event()
                    await self._work.wait()
                data = self._take()
                await self.stream.send_all(data)
                self.backlog_bytes -= len(data)
                self._tell_progress()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as failure:
            await self._broken(str(failure))

    def _take(self) -> bytes:
        """The next bytes to send: whole frames' pieces, all of them if they are not too many."""
        queue = self._queue
        if self.backlog_bytes <= SEND_BYTES:
            data = b"".join(queue)
            queue.clear()
            return data
        pieces, size = [], 0
        while queue and size < SEND_BYTES:
            pieces.append(queue.popleft())
            size += len(pieces[-1])
        return b"".join(pieces)

    def _tell_progress(self) -> None:
        if self._progress is not None:
            self._progress.set()
            self._progress = None

    async def _watch(self) -> None:
        """See the end of the connection while there is nothing to send; nothing else can come from this side."""
        try:
            data = await self.stream.receive_some(1)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as failure:
            await self._broken(str(failure))
        else:
            await self._broken("bytes against the stream" if data else "closed there")


class Incoming(Half):
    """The peer's half, read here: every frame is handed out in order, as soon as it is whole."""

    def __init__(self, stream: Stream, identity: Identity, lane: str, *, offset: int) -> None:
        super().__init__(stream, identity, lane)
        self._reader = FrameReader(offset=offset)

    @property
    def offset(self) -> int:
        """The stream offset behind the last whole frame."""
        return self._reader.offset

    async def run(self, handlers: Mapping[int, Handler]) -> None:
        """Read until the half ends. What a handler raises climbs."""
        try:
            with self._scope:
                try:
                    while data := await self.stream.receive_some(READ_BYTES):
                        if not self.deaf:
                            self._hand_out(data, handlers)
                except (trio.BrokenResourceError, trio.ClosedResourceError, PeerFrameError) as failure:
                    await self._broken(str(failure))
                else:
                    await self._broken("closed there")
        finally:
            self.end("stopped")

    def _hand_out(self, data: bytes, handlers: Mapping[int, Handler]) -> None:
        peer = self.identity.node
        for kind, payload, offset in self._reader.feed(data):
            handler = handlers.get(kind)
            if handler is None:
                raise PeerFrameError(f"nobody here handles frames of kind {kind}")
            handler(peer, payload, offset)
            if not self.open:  # a handler has ended this life's links: nothing of it may be heard any more
                return
