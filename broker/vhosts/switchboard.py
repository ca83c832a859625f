"""Where queues meet journal and links: one per node.

Decides when what queues left behind in a turn goes to disk and to other nodes, and carries calls between nodes. It must
not know what a queue is: it holds things that `flush`. A turn ends as soon as the tasks that are ready now have run.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import trio

from broker.peers.links import Links
from broker.storage.journal import Journal
from broker.vhosts.transit import Transit
from broker.wire import queue_frames as frames
from broker.world.clock import Clock

if TYPE_CHECKING:
    from broker.vhosts.publications import Pending, Publications

REQUEST_TIMEOUT_S = 30.0
PAUSE_S = 0.001
CONGESTED_BYTES = 4 * 1024 * 1024
"""With more than this on its way to a node, deliveries to it wait (S11)."""

Answer = tuple[dict[str, Any], bytes]
RequestHandler = Callable[[str, dict[str, Any]], Awaitable[Answer]]


class PeerLost(Exception):
    """The node that was asked went away before it answered."""


class Flushed(Protocol):
    """Something that has work left over at the end of a turn."""

    def flush(self) -> None:
        """Do it."""


class Synced(Protocol):
    """Something that waits for the disk."""

    def advance(self) -> None:
        """The disk has got further."""


class Waiter(Protocol):
    """Somebody who waits until a link has drained."""

    def wake(self) -> None:
        """It has."""


class Switchboard:
    """The services of one node that its queues share."""

    def __init__(
        self,
        *,
        node: str,
        life: int,
        journal: Journal,
        links: Links,
        clock: Clock,
        lease_valid: Callable[[], bool],
    ) -> None:
        """`lease_valid`: whether nobody else can have been put in this node's place."""
        self.node = node
        self.life = life
        self.origin = f"{node}/{life}"
        self.journal = journal
        self.links = links
        self.lease_valid = lease_valid
        self.lease_missed = False
        """A master here had to wait because the lease was not valid, or a publisher."""
        self._deferred: list[Callable[[], None]] = []
        self._trusted = trio.Event()
        self.transit = Transit()
        self.unanswered: dict[Publications, None] = {}
        """Those of masters elsewhere that may have no answer."""
        self._clock = clock
        self._touched: dict[Flushed, None] = {}
        self._unsynced: deque[tuple[int, Synced]] = deque()
        self._turn = trio.Event()
        self._in_turn = False
        self._numbers = 0
        self._calls: dict[int, tuple[str, trio.Event, list[Answer]]] = {}
        self._handlers: dict[str, RequestHandler] = {}
        self._requests: list[tuple[str, bytes]] = []
        self._owed: dict[str, list[bytes]] = {}
        self._congested: dict[str, set[Waiter]] = {}
        self._nursery: trio.Nursery | None = None
        links.handle(frames.REQUEST, self._receive_request)
        links.handle(frames.RESPONSE, self._receive_response)

    @property
    def stamp_ms(self) -> int:
        """Wall time in milliseconds."""
        return self._clock.stamp_ms()

    @property
    def steady_ms(self) -> int:
        """Milliseconds of a clock that nobody sets."""
        return round(trio.current_time() * 1000)

    def number(self) -> int:
        """A number that this life has not used before."""
        self._numbers += 1
        return self._numbers

    # ------------------------------------------------------------------ without a lease

    def doubt(self, pending: "Pending") -> None:
        """What is to be answered once it is certain that this node knows all that clients have been told: that a
        message goes to no queue is known to nobody else."""
        pending.missing += 1
        self.defer(pending.answer)

    @property
    def is_trusted(self) -> bool:
        """Whether there is a lease, and nothing that waited for it is left to be done."""
        return not self._deferred and self.lease_valid()

    def defer(self, do: Callable[[], None]) -> None:
        """Have this done when the lease is valid again, in this order."""
        self._deferred.append(do)
        self.lease_missed = True

    def trust(self) -> None:
        """The lease is valid again."""
        deferred, self._deferred = self._deferred, []
        for do in deferred:
            do()
        self._trusted.set()
        self._trusted = trio.Event()

    async def leased(self) -> None:
        """Return while the lease is valid."""
        while not self.lease_valid():
            self.lease_missed = True
            await self._trusted.wait()

    # ------------------------------------------------------------------ turns

    def touch(self, flushed: Flushed) -> None:
        """Let this be flushed at the end of the turn."""
        self._touched[flushed] = None
        if not self._in_turn:
            self._turn.set()

    def begin_turn(self) -> None:
        """A door's turn has begun, which will end with `end_turn`: nobody has to be woken for it."""
        self._in_turn = True

    def end_turn(self) -> None:
        """Flush everything that was touched, until nothing is."""
        self._in_turn = False
        while self._touched:
            touched, self._touched = self._touched, {}
            for flushed in touched:
                flushed.flush()

    async def run(self) -> None:
        """End turns, and serve the calls of other nodes."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            while True:
                await self._turn.wait()
                self._turn = trio.Event()
                self.end_turn()
                requests, self._requests = self._requests, []
                for peer, payload in requests:
                    nursery.start_soon(self._serve, peer, payload)

    # ------------------------------------------------------------------ disk

    def advance_at(self, lsn: int, waiting: Synced) -> None:
        """Let this advance when the journal is synced up to there."""
        self._unsynced.append((lsn, waiting))

    def wait_for_disk(self, waiting: Synced) -> bool:
        """Let this advance when the journal is synced as far as it goes now; False if it is already."""
        if not self.journal.backlog_bytes:
            return False
        self.advance_at(self.journal.appended, waiting)
        return True

    def pause(self, waiting: Synced) -> bool:
        """Let this advance after a moment, in which clients answer what they have just been told; False if nobody can
        see to it."""
        if self._nursery is None:
            return False
        self._nursery.start_soon(self._advance_soon, waiting)
        return True

    async def _advance_soon(self, waiting: Synced) -> None:
        await trio.sleep(PAUSE_S)
        waiting.advance()

    def advance_upto(self, lsn: int) -> None:
        """The journal is synced up to there: those advance that waited for it, and no others."""
        unsynced, due = self._unsynced, dict[Synced, None]()
        while unsynced and unsynced[0][0] <= lsn:
            due[unsynced.popleft()[1]] = None
        for waiting in due:
            waiting.advance()

    # ------------------------------------------------------------------ other nodes

    def send(self, peer: str, kind: int, payload: bytes) -> int:
        """Queue a frame for a peer; the stream offset behind it, or -1 if there is no link now."""
        return self.links.send(peer, "data", kind, payload)

    def is_congested(self, peer: str, waiter: Waiter) -> bool:
        """Whether so much waits for this peer that deliveries should, too; then the waiter is woken later."""
        if self.links.backlog_bytes(peer) <= CONGESTED_BYTES or self._nursery is None:
            return False
        if peer not in self._congested:
            self._congested[peer] = set()
            self._nursery.start_soon(self._drain, peer)
        self._congested[peer].add(waiter)
        return True

    async def _drain(self, peer: str) -> None:
        drained = await self.links.drained(peer, "data", CONGESTED_BYTES // 2)
        waiters = self._congested.pop(peer)
        if drained:  # else what its clients had here is over
            for waiter in waiters:
                waiter.wake()

    def answer(self, what: str, handler: RequestHandler) -> None:
        """Serve calls of this name from other nodes."""
        self._handlers[what] = handler

    async def call(self, peer: str, fields: dict[str, Any]) -> Answer:
        """Ask another node and wait for its answer. Raises PeerLost."""
        number = self.number()
        done, answers = trio.Event(), list[Answer]()
        self._calls[number] = (peer, done, answers)
        try:
            if self.send(peer, frames.REQUEST, frames.encode_request(number, fields)) < 0:
                raise PeerLost(peer)
            with trio.move_on_after(REQUEST_TIMEOUT_S):
                await done.wait()
            if not answers:
                raise PeerLost(peer)
            return answers[0]
        finally:
            del self._calls[number]

    def peer_up(self, peer: str) -> None:
        """The link to a peer came up: what it has asked meanwhile is answered."""
        for response in self._owed.pop(peer, []):
            self.send(peer, frames.RESPONSE, response)

    def peer_gone(self, peer: str) -> None:
        """The link from a peer ended: what it had asked it will ask again."""
        self._owed.pop(peer, None)

    def peer_down(self, peer: str) -> None:
        """The link to a peer broke: its answers will not come."""
        for asked, done, _ in self._calls.values():
            if asked == peer:
                done.set()

    def _receive_request(self, peer: str, payload: bytes, offset: int) -> None:
        self._requests.append((peer, payload))
        self._turn.set()

    async def _serve(self, peer: str, payload: bytes) -> None:
        number, fields = frames.decode_request(payload)
        handler = self._handlers.get(fields["do"])
        if handler is None:
            return  # a question of a newer release: its asker gives up after a while
        answer, attachment = await handler(peer, fields)
        response = frames.encode_response(number, answer, attachment)
        if self.send(peer, frames.RESPONSE, response) < 0:
            self._owed.setdefault(peer, []).append(
                response
            )  # the way back may come up a little later than the way here

    def _receive_response(self, peer: str, payload: bytes, offset: int) -> None:
        number, fields, attachment = frames.decode_response(payload)
        call = self._calls.get(number)
        if call is not None:
            call[2].append((fields, attachment))
            call[1].set()
