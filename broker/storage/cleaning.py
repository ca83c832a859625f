"""Giving disk space back: segments that nobody needs go, segments with little life in them are emptied first.

Decides when segments are copied and when a file is removed; always copy, sync, then drop. It must not know what a
record means; `Books` tells what is needed. It works beside the committer, in steps short enough not to be felt.
"""

from typing import Protocol

import trio

from broker.storage.books import Books
from broker.storage.holdings import Holdings, Stretch
from broker.storage.loading import Wanted, joined
from broker.storage.places import Places
from broker.storage.segments import Segment
from broker.wire.message import Run
from broker.wire.records import Gone, Publish, QueueRecord, Volatile
from broker.wire.sealed import DamagedRecord, TornRecord
from broker.world.disk import Disk

COMPACTION_PAUSE_S = 1.0
RECORDS_PER_STEP = 100
QUEUES_PER_STEP = 500
COPIED_BYTES_PER_SYNC = 1024 * 1024
JOINED_MESSAGES_MAX = 1024
JOINED_BYTES_MAX = 64 * 1024

Copied = Publish | Volatile


class Writer(Protocol):
    """What the cleaner needs of the journal."""

    appended: int

    def write_again(self, records: list[QueueRecord | Gone]) -> None:
        """Save state from a segment that goes, or say that it goes, in one batch."""

    def copy(self, record: QueueRecord) -> None:
        """Append a living record a second time."""

    async def wait_synced(self, lsn: int) -> None:
        """Until everything up to there is durable."""

    async def places(self, segment: Segment, queue_id: int) -> Places:
        """Where the queue's records lie in the segment; raises what `damaged` gives."""

    def fail(self, name: str, error: OSError) -> None:
        """The disk is not to be trusted any more."""

    def damaged(self, segment: Segment, offset: int, why: object) -> Exception:
        """What was written there cannot be read: the journal ends. Gives what to raise."""


class Cleaner:
    """One task; `look` tells it that the books have changed."""

    def __init__(
        self, journal: Writer, disk: Disk, books: Books, *, spare_bytes: int = 0, round_bytes_max: int = 0
    ) -> None:
        self._journal = journal
        self._disk = disk
        self._books = books
        self._spare_bytes = spare_bytes
        self._round_bytes_max = round_bytes_max
        self._stubborn: set[Segment] = set()  # copied in this round of looks, and still not empty
        self._changed = False
        self._idle = False
        self._next_look = 0.0
        self._bell = trio.Event()

    def look(self) -> None:
        """Something was synced or settled: cheap, for it is said often."""
        self._changed = True
        if self._idle or self._books.news:
            self._bell.set()

    def ring(self) -> None:
        """A segment may go."""
        self._bell.set()

    def look_soon(self) -> None:
        """A segment was closed: the pause is over."""
        self._next_look = 0.0
        self._bell.set()

    async def run(self) -> None:
        """Clean up for ever. One look for compaction a pause or a segment, and no pause while there is much to do."""
        while True:
            ready = self._books.ready_to_go()
            if ready:
                await self._let_go(ready)
                continue
            if trio.current_time() >= self._next_look:
                self._changed = False
                chosen = self._books.worth_compacting(self._spare_bytes, self._round_bytes_max, self._stubborn)
                if chosen:
                    await self._empty(chosen)
                    continue
                self._stubborn.clear()
                self._next_look = trio.current_time() + COMPACTION_PAUSE_S
            await self._wait()

    async def _wait(self) -> None:
        """Until a segment may go, or the pause is over and something has changed since the last look."""
        self._bell = trio.Event()
        with trio.move_on_at(self._next_look):
            await self._bell.wait()
            return
        if not self._changed:
            self._idle = True
            await self._bell.wait()
            self._idle = False

    async def _let_go(self, segments: list[Segment]) -> None:
        for segment in segments:
            for again in self._books.forget(segment, QUEUES_PER_STEP):
                self._journal.write_again([*again])
                await trio.lowlevel.checkpoint()
            self._journal.write_again([Gone(segment.number)])
        await self._journal.wait_synced(self._journal.appended)
        for segment in segments:
            try:
                await self._disk.remove(segment.name)
            except OSError as error:
                self._journal.fail(segment.name, error)
                return

    # -- compaction ----------------------------------------------------------------------------------------------------

    async def _empty(self, segments: list[Segment]) -> None:
        """Write what lives in the segments again, queue by queue, so that they can go and reading gets sequential."""
        self._stubborn.update(segments)
        await self._journal.wait_synced(self._journal.appended)
        living: list[Copied] = []
        for segment in segments:
            living += await self._living_in(segment)
        living.sort(key=lambda record: (record.queue_id, record.run.first))
        copied_upto = self._journal.appended
        for step, record in enumerate(joined_records(living), 1):
            self._copy(record, segments)
            if self._journal.appended > copied_upto + COPIED_BYTES_PER_SYNC:
                copied_upto = self._journal.appended
                await self._journal.wait_synced(copied_upto)
            elif step % RECORDS_PER_STEP == 0:
                await trio.lowlevel.checkpoint()
        await self._journal.wait_synced(self._journal.appended)

    async def _living_in(self, segment: Segment) -> list[Copied]:
        try:
            data = await self._disk.read(segment.name)
        except OSError as error:
            raise self._journal.damaged(segment, 0, error.strerror or error) from error
        living: list[Copied] = []
        for queue_id in list(segment.chapters):
            account = self._books.accounts.get(queue_id)
            if account is not None and account.holdings:
                places = await self._journal.places(segment, queue_id)
                wanted, spans = _wanted(queue_id, account.holdings, segment, places)
                try:
                    for offset, end in spans:
                        for _ in wanted.take_from(data[offset:end]):
                            await trio.lowlevel.checkpoint()
                    wanted.check()
                except (TornRecord, DamagedRecord) as error:
                    raise self._journal.damaged(segment, 0, error) from error
                living += wanted.records()
        return living

    def _copy(self, record: Copied, segments: list[Segment]) -> None:
        """Copy what still lives there and no settle waits for: a copy behind its settle would live again."""
        run, account = record.run, self._books.accounts.get(record.queue_id)
        for stretch in account.holdings.within(run.first, run.last) if account is not None else ():
            if stretch.segment not in segments or stretch.term != record.term:
                continue
            assert account is not None
            first, behind = stretch.first, stretch.last + 1
            for settled_first, settled_last in [*account.unreleased.within(first, stretch.last), (behind, behind)]:
                if first < settled_first:
                    part = run.cut(first - run.first, settled_first - run.first)
                    self._journal.copy(type(record)(record.queue_id, record.term, part))
                first = settled_last + 1


def _wanted(
    queue_id: int, holdings: Holdings, segment: Segment, places: Places
) -> tuple[Wanted, list[tuple[int, int]]]:
    """What lives of the queue in the segment, and in which bytes."""
    stretches: list[Stretch] = []
    spans: list[tuple[int, int]] = []
    for first, last, offset, end in zip(places.firsts, places.lasts, places.offsets, places.ends, strict=True):
        held = [stretch for stretch in holdings.within(first, last) if stretch.segment is segment]
        if held:
            stretches += held
            spans.append((offset, end))
    return Wanted(queue_id, stretches), joined(spans)


def joined_records(records: list[Copied]) -> list[Copied]:
    """Neighbours that differ in nothing but position are one; what was taken from an origin is state of its own."""
    groups: list[list[Copied]] = []
    count = size_bytes = 0
    for record in records:
        run = record.run
        run.origin, run.sequence = None, 0
        added_bytes = sum(map(len, run.contents))
        count += run.count
        size_bytes += added_bytes
        fits = count <= JOINED_MESSAGES_MAX and size_bytes <= JOINED_BYTES_MAX
        if groups and fits and _continues(groups[-1][-1], record):
            groups[-1].append(record)
        else:
            groups.append([record])
            count, size_bytes = run.count, added_bytes
    return [group[0] if len(group) == 1 else _joined(group) for group in groups]


def _continues(record: Copied, following: Copied) -> bool:
    run, other = record.run, following.run
    return (
        other.first == run.last + 1
        and (type(record), record.queue_id, record.term) == (type(following), following.queue_id, following.term)
        and _shared(run) == _shared(other)
    )


def _shared(run: Run) -> tuple[object, ...]:
    return run.address, run.traits, run.stamp_ms, run.redelivered, run.returned


def _joined(group: list[Copied]) -> Copied:
    record, run = group[0], group[0].run
    joined_run = Run(
        [content for part in group for content in part.run.contents],
        run.address,
        run.traits,
        first=run.first,
        stamp_ms=run.stamp_ms,
        redelivered=run.redelivered,
        returned=run.returned,
    )
    return type(record)(record.queue_id, record.term, joined_run)
