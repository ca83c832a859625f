"""What the copies of this node give up is kept first, if somebody may have been told that it is safe (DESIGN S5, S9).

Decides what of a copy has to be kept before it follows a master: all that this master does not have, if it was not in
sync when it became one; what lies beyond their common history, if this node's whole history has lost against another
one; and all of a queue that the other history does not know. It must not know files, nor the rules of copies.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

import trio

from broker.cluster.records import Life, QueueRecord
from broker.mirroring.copy import Copy
from broker.mirroring.master import Master
from broker.mirroring.mirror import Mirror, Offer
from broker.mirroring.ranges import Range, merge, subtract
from broker.queues.page import Page, Piece
from broker.queues.row import weight_of
from broker.vhosts.switchboard import PeerLost, Switchboard
from broker.wire.message import Run

log = logging.getLogger("warren.queues")

PORTION_BYTES_MAX = 8 * 1024 * 1024
"""So much of what a copy gives up is in memory at a time, and in one file."""
RETRY_S = 5.0
"""A copy is not cut as long as what it gives up cannot be kept: the disk may have room again."""
ASK_AGAIN_S = 0.1
"""A master that is to say what it holds may be gone, and another one on its way."""
HOLDINGS = "holdings"
"""The call that asks a master for its terms and what lives of its queue."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Where messages come from that a copy gives up, and why; `terms` say who owned their positions."""

    queue_id: int
    vhost: str
    queue: str
    terms: tuple[tuple[int, int], ...]
    why: str


class Keeper(Protocol):
    """Keeps messages for people."""

    def lost_queue(self, queue_id: int) -> tuple[str, str] | None:
        """Vhost and name of a queue of which this node's copy comes from a history that lost, and was not compared."""

    def compared(self, queue_id: int) -> None:
        """That copy has been compared, or is not there any more."""

    def has_copies(self, queue_ids: Collection[int]) -> None:
        """Of no other queue is there anything that could be compared."""

    async def keep(self, loss: Loss, runs: list[Run]) -> None:
        """Return when they are on the disk. Raises OSError."""


class Nobody:
    """Keeps nothing."""

    def lost_queue(self, queue_id: int) -> tuple[str, str] | None:
        """No history has lost."""

    def compared(self, queue_id: int) -> None:
        """Nobody waits for it."""

    def has_copies(self, queue_ids: Collection[int]) -> None:
        """Nobody waits for any."""

    async def keep(self, loss: Loss, runs: list[Run]) -> None:
        """They are gone."""
        await trio.lowlevel.checkpoint()


class Portions:
    """Messages that are kept together, as many as may be in memory."""

    def __init__(self, write: Callable[[Loss, list[Run]], Awaitable[None]], loss: Loss) -> None:
        self._write = write
        self._loss = loss
        self._runs: list[Run] = []
        self._weight_bytes = 0

    async def add(self, runs: list[Run]) -> None:
        """One or more of them."""
        self._runs += runs
        self._weight_bytes += sum(map(weight_of, runs))
        if self._weight_bytes >= PORTION_BYTES_MAX:
            await self.end()

    async def end(self) -> None:
        """There are no more for now."""
        runs, self._runs, self._weight_bytes = self._runs, [], 0
        if runs:
            await self._write(self._loss, runs)


class Aside:
    """One per life of a node."""

    def __init__(
        self, keeper: Keeper, switchboard: Switchboard, record_of: Callable[[int], QueueRecord | None]
    ) -> None:
        self._keeper = keeper
        self._switchboard = switchboard
        self._record_of = record_of
        self._kept: dict[Mirror, tuple[int, list[Range]]] = {}
        """For which master's term what of a mirror is kept that it may have to give up."""

    # ------------------------------------------------------------------ mirrors

    def is_undecided(self, offer: Offer) -> bool:
        """Whether this node does not know of the commit yet that made this master: what it costs to follow it depends
        on that, and it may be the master of another history, of which this node will never know."""
        record = self._record_of(offer.queue_id)
        return record is not None and record.term < offer.term

    def is_due(self, mirror: Mirror, offer: Offer) -> bool:
        """Whether something has to be kept before the mirror follows this master."""
        if self.begins_anew(mirror, offer):
            return self._has_unkept(mirror, offer)
        if offer.term < mirror.copy.promised:
            return False
        if self._is_lossy(mirror, offer):
            is_asked = mirror in self._kept and self._kept[mirror][0] == offer.term
            return self._has_unkept(mirror, offer) if is_asked else len(mirror.copy.line) > 0
        return self.is_of_lost_history(offer.queue_id) and self._has_unkept(mirror, offer)

    def begins_anew(self, mirror: Mirror, offer: Offer) -> bool:
        """Whether a copy is of no use because a master of the lost history has written to it: that one may have had a
        higher term than all of the history that goes on."""
        return self.is_of_lost_history(offer.queue_id) and offer.term < mirror.copy.promised

    def is_relied_on(self, queue_id: int) -> bool:
        """Whether this copy is in sync by commit: then it may be all that is left of what was confirmed (S2)."""
        record = self._record_of(queue_id)
        return record is not None and Life(self._switchboard.node, self._switchboard.life) in record.in_sync

    async def keep_for(self, mirror: Mirror, master: str, offer: Offer) -> None:
        """Return when is kept what this master does not have. Raises PeerLost."""
        copy, record = mirror.copy, self._record_of(offer.queue_id)
        wanted = _ranges_of(mirror.beyond(offer))
        why = f"in a partition this side lost, and {master} is master"
        if self._is_lossy(mirror, offer):
            why = f"{master} became master without being synchronised"
            _, held = await self._holdings(master, copy)
            wanted = merge([*wanted, *subtract(copy.line.ranges(), held)])
        if record is not None:
            loss = Loss(copy.queue_id, record.vhost, record.name, tuple(copy.terms.entries), why)
            await self._keep(loss, copy, subtract(wanted, self._kept_for(mirror, offer)))
        self._kept[mirror] = (offer.term, merge([*self._kept_for(mirror, offer), *wanted]))

    def followed(self, mirror: Mirror) -> None:
        """It has given up what it had to: from now on others stand at those positions."""
        if mirror in self._kept:
            self._kept[mirror] = (self._kept[mirror][0], [])
        self._keeper.compared(mirror.copy.queue_id)

    def left(self, mirror: Mirror) -> None:
        """It is a mirror no more."""
        self._kept.pop(mirror, None)

    def _is_lossy(self, mirror: Mirror, offer: Offer) -> bool:
        """Whether a master since was not in sync: it may lack what others confirmed."""
        record = self._record_of(offer.queue_id)
        return record is not None and record.lossy_term > mirror.former_term_under(offer)

    def _has_unkept(self, mirror: Mirror, offer: Offer) -> bool:
        return bool(subtract(_ranges_of(mirror.beyond(offer)), self._kept_for(mirror, offer)))

    def _kept_for(self, mirror: Mirror, offer: Offer) -> list[Range]:
        term, ranges = self._kept.get(mirror, (0, []))
        return ranges if term == offer.term else []

    # ------------------------------------------------------------------ copies that go

    def is_of_lost_history(self, queue_id: int) -> bool:
        """Whether this node's copy may hold what only a history had that lost."""
        return self._keeper.lost_queue(queue_id) is not None

    def has_copies(self, queue_ids: Collection[int]) -> None:
        """Of these queues there are copies from earlier lives."""
        self._keeper.has_copies(queue_ids)

    def served(self, queue_id: int) -> None:
        """The copy is a master's: nothing of it is given up."""
        self._keeper.compared(queue_id)

    async def keep_of_unwanted(self, copy: Copy, master: str | None) -> None:
        """This copy of a lost history goes: return when is kept what its master does not have; all of it if the queue
        is not there. Raises PeerLost."""
        first, why = 1, "in a partition this side lost, and the other one has no such queue"
        if master is not None:
            terms, _ = await self._holdings(master, copy)
            first = copy.terms.common(terms, copy.next_position - 1) + 1
            why = f"in a partition this side lost, and {master} is master"
        vhost, queue = self._keeper.lost_queue(copy.queue_id) or ("", "")
        loss = Loss(copy.queue_id, vhost, queue, tuple(copy.terms.entries), why)
        wanted = [both for both in copy.line.ranges() if both[1] >= first]
        await self._keep(loss, copy, [(max(first, begin), end) for begin, end in wanted])

    async def keep_volatile(self, record: QueueRecord, master: Master, since_ms: int, why: str) -> None:
        """What lives only in memory goes with this life: of that keep what the master here took since then. Without a
        disk that keeps anything (`data: memory`) that is everything, and at least it is said."""
        keeps = self._switchboard.journal.keeps
        loss = Loss(record.id, record.vhost, record.name, tuple(master.copy.terms.entries), why)
        portions = Portions(self._write, loss)
        for piece in [*master.queue.living()]:
            if keeps and record.durable and (piece.persistent if isinstance(piece, Page) else piece.traits.persistent):
                continue
            runs = [piece] if isinstance(piece, Run) else await self._load(record.id, piece)
            await portions.add([run for run in runs if run.stamp_ms >= since_ms])
        await portions.end()

    # ------------------------------------------------------------------ reading

    async def _holdings(self, master: str, copy: Copy) -> tuple[list[tuple[int, int]], list[Range]]:
        """Terms of a master, and what lives there. Raises PeerLost if it is none (yet)."""
        fields, _ = await self._switchboard.call(master, {"do": HOLDINGS, "queue": copy.queue_id})
        if "terms" not in fields:
            raise PeerLost(master)
        return [(term, first) for term, first in fields["terms"]], [(first, last) for first, last in fields["living"]]

    async def _keep(self, loss: Loss, copy: Copy, ranges: list[Range]) -> None:
        """What lives there, as much as fits at a time."""
        portions = Portions(self._write, loss)
        for first, last in ranges:
            at = first
            # what settles meanwhile need not be kept, and pieces may become others
            while at <= last and (piece := next(copy.line.between(at, last), None)) is not None:
                await portions.add([piece] if isinstance(piece, Run) else await self._load(loss.queue_id, piece))
                at = piece.last + 1
        await portions.end()

    async def _load(self, queue_id: int, piece: Piece) -> list[Run]:
        return await self._switchboard.journal.load(queue_id, piece.first, piece.last)

    async def _write(self, loss: Loss, runs: list[Run]) -> None:
        log.warning("event=set_aside queue=%s messages=%d", loss.queue, sum(run.count for run in runs))
        while True:
            try:
                await self._keeper.keep(loss, runs)
                return
            except OSError as error:
                log.error("event=not_set_aside queue=%s why=%s", loss.queue, error)
            await trio.sleep(RETRY_S)


def _ranges_of(pieces: Iterable[Piece]) -> list[Range]:
    return merge((piece.first, piece.last) for piece in pieces)
