"""A master and its mirrors joined by lanes of plain lists: what links and journals do, without either.

What a copy forgets lies in a `Shelf`, from where it is loaded again.
"""

from collections import deque
from collections.abc import Iterable
from typing import ClassVar

from broker.mirroring import catch_up
from broker.mirroring.copy import Copy
from broker.mirroring.follower import Follower
from broker.mirroring.master import Master
from broker.mirroring.mirror import Mirror, Offer, Statement
from broker.queues.consumers import Consumer
from broker.queues.page import Page, Piece
from broker.queues.settings import Settings
from broker.wire import records
from broker.wire.content import make_content
from broker.wire.message import Run, Traits, make_address
from broker.wire.properties import Properties

ADDRESS = make_address("", "orders")
PERSISTENT = Traits(persistent=True)


def run_of(*bodies: str, traits: Traits = PERSISTENT) -> Run:
    properties = Properties(delivery_mode=2 if traits.persistent else 1)
    return Run([make_content(1, properties, body.encode(), 131072) for body in bodies], ADDRESS, traits)


class Taker(Consumer):
    """A consumer that has `window` places and remembers what it got."""

    def __init__(self, window: int = 1_000_000, *, ack_required: bool = True) -> None:
        self.tag = "taker"
        self.ack_required = ack_required
        self.exclusive = False
        self.priority = 0
        self.arguments = {}
        self.window = window
        self.got: list[Run] = []

    def room(self) -> int:
        return self.window

    def deliver(self, run: Run) -> None:
        self.window -= len(run.contents)
        self.got.append(run)


class Shelf:
    """Contents of one copy, by position: what its node's journal has of it."""

    of_copies: ClassVar[list[tuple[Copy, "Shelf"]]] = []

    def __init__(self) -> None:
        self.runs: dict[int, Run] = {}

    @classmethod
    def of(cls, copy: Copy) -> "Shelf":
        """A copy's shelf goes with it, whoever uses the copy now."""
        found = next((shelf for other, shelf in cls.of_copies if other is copy), None)
        if found is None:
            found = cls()
            cls.of_copies = [*cls.of_copies[-20:], (copy, found)]
        return found

    def put(self, runs: list[Run]) -> None:
        for run in runs:
            self.runs |= {run.first + index: run.cut(index, index + 1) for index in range(run.count)}

    def load(self, first: int, last: int) -> list[Run]:
        return [self.runs[position].cut(0, 1) for position in range(first, last + 1) if position in self.runs]

    def contents(self, pieces: Iterable[Piece]) -> list[bytes]:
        """What these pieces stand for."""
        every: list[bytes] = []
        for piece in pieces:
            for part in piece.filled(self.load(piece.first, piece.last)) if isinstance(piece, Page) else [piece]:
                assert isinstance(part, Run)
                every += part.contents
        return every


class Replica:
    """One mirror's node: its mirror, and the lane to it."""

    def __init__(self, node: str, copy: Copy, life: int = 1) -> None:
        self.node = node
        self.life = life
        self.mirror = Mirror(copy)
        self.lane: deque[bytes] = deque()
        self.offset = 0
        self.received = 0

    def forget(self, window_bytes: int) -> None:
        """Contents beyond this go to the shelf."""
        Shelf.of(self.mirror.copy).put(self.mirror.page_out(window_bytes))

    def receive(self, offer: Offer) -> Statement:
        """Take an offer, as soon as what it costs has been looked at."""
        while (pages := self.mirror.pages_beyond(offer)) is not None:
            first, last = pages
            self.mirror.look_beyond(last, Shelf.of(self.mirror.copy).load(first, last))
        return self.mirror.receive_offer(offer)

    def read(self, count: int | None = None) -> None:
        """Take records from the lane and apply them."""
        for _ in range(len(self.lane) if count is None else min(count, len(self.lane))):
            raw = self.lane.popleft()
            record, _ = records.decode(raw)
            assert self.mirror.apply(record, raw)
            self.received += len(raw)


class Cluster:
    """A durable queue with its master here and mirrors at the other end of lanes. The own disk syncs at `sync`."""

    def __init__(self, nodes: list[str], *, copy: Copy | None = None, term: int = 10) -> None:
        self.master = Master(copy or Copy(1, True), term, Settings(), mirrored=True)
        self.replicas: dict[str, Replica] = {}
        self.journal = 0
        self.synced = 0
        for node in nodes:
            self.join(Replica(node, Copy(1, True)))

    def join(self, replica: Replica, *, member: bool = True, automatic: bool = True) -> None:
        """Offer, statement, catch-up: all the way."""
        self.ship()
        master = self.master
        self.replicas[replica.node] = replica
        follower = master.witnesses.followers[replica.node] = Follower(replica.node, replica.life)
        if member:
            master.witnesses.member_nodes.add(replica.node)
        offer = Offer(1, master.term, list(master.copy.terms.entries), master.copy.next_position)
        statement = replica.receive(offer)
        assert not statement.refused
        for raw in catch_up.receive_statement(master, follower, statement, automatic=automatic):
            self._send(replica, follower, raw)
        while follower.missing:
            wanted = catch_up.wanted(master, follower)
            if wanted is None:
                chunk = catch_up.take_chunk(master, follower)
            else:
                chunk = catch_up.chunk_of(master, follower, Shelf.of(master.copy).load(*wanted))
                assert chunk
            for raw in chunk:
                self._send(replica, follower, raw)
        for raw in catch_up.last_words(master, follower):
            self._send(replica, follower, raw)
        follower.joined = True
        follower.filled_note = master.outbox[0].number - 1 if master.outbox else master.note
        follower.noted(follower.filled_note, follower.sent)

    def _send(self, replica: Replica, follower: Follower, raw: bytes) -> None:
        replica.lane.append(raw)
        replica.offset += len(raw)
        follower.sent = replica.offset

    def forget(self, window_bytes: int) -> None:
        """Contents of the master beyond this go to the shelf; what it wants is loaded."""
        shelf = Shelf.of(self.master.copy)
        shelf.put(self.master.page_out(window_bytes))
        while (wanted := self.master.queue.wanted()) is not None:
            self.master.queue.page_in(shelf.load(*wanted))

    def ship(self) -> None:
        """The end of a turn: notes go to the own journal and out on the lanes."""
        self.master.open_more()
        self.master.note_settled()
        for note in self.master.take_notes():
            self.journal += len(note.raw) if note.durable else 0
            for follower in self.master.witnesses.followers.values():
                if follower.joined:
                    replica = self.replicas[follower.node]
                    self._send(replica, follower, note.raw)
                    follower.noted(note.number, replica.offset)
            self.master.shipped(note, self.journal if note.durable else 0)
        self.master.advance(self.synced)

    def sync(self) -> None:
        """The own disk has everything."""
        self.synced = self.journal
        self.master.advance(self.synced)

    def acknowledge(self, node: str) -> None:
        """A mirror says how far it has read (and synced: its disk is quick)."""
        replica = self.replicas[node]
        self.master.witnesses.followers[node].acknowledged(replica.received, replica.received)
        self.master.advance(self.synced)

    def settle_down(self) -> None:
        """Everything gets everywhere."""
        while True:
            self.ship()
            self.sync()
            for node, replica in self.replicas.items():
                replica.read()
                self.acknowledge(node)
            if not self.master.outbox and not self.master.witnesses.waiting:
                return
