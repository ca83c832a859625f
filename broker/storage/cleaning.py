"""Giving disk space back: segments that nobody needs go, segments with little life in them are emptied first.

Decides when a segment is copied and when its file is removed; always copy, sync, then drop. It must not know what a
record means; `Books` tells what is needed. It works beside the committer, in steps short enough not to be felt.
"""

from typing import Protocol

import trio

from broker.storage.books import Books
from broker.storage.reading import Scan, living_publishes
from broker.storage.segments import Segment
from broker.wire.records import Gone, Publish, QueueRecord
from broker.world.disk import Disk

COMPACTION_PAUSE_S = 1.0
RECORDS_PER_STEP = 100
COPIED_BYTES_PER_SYNC = 1024 * 1024


class Writer(Protocol):
    """What the cleaner needs of the journal."""

    appended: int

    def write_again(self, records: list[QueueRecord | Gone]) -> None:
        """Save state from a segment that goes, and say that it goes, in one batch."""

    def copy(self, record: QueueRecord) -> None:
        """Append a living record a second time."""

    async def wait_synced(self, lsn: int) -> None:
        """Until everything up to there is durable."""

    def fail(self, name: str, error: OSError) -> None:
        """The disk is not to be trusted any more."""


class Cleaner:
    """One task; `look` tells it that the books have changed."""

    def __init__(self, journal: Writer, disk: Disk, books: Books, *, spare_bytes: int = 0) -> None:
        self._journal = journal
        self._disk = disk
        self._books = books
        self._spare_bytes = spare_bytes
        self._next_compaction = 0.0
        self._bell = trio.Event()

    def look(self) -> None:
        """Something was synced."""
        if self._books.news or trio.current_time() >= self._next_compaction:
            self._bell.set()

    def ring(self) -> None:
        """A segment may go."""
        self._bell.set()

    async def run(self) -> None:
        """Clean up for ever."""
        while True:
            ready = self._books.ready_to_go()
            if ready:
                await self._let_go(ready)
                continue
            if trio.current_time() >= self._next_compaction:
                self._next_compaction = trio.current_time() + COMPACTION_PAUSE_S
                segment = self._books.worth_compacting(self._spare_bytes)
                if segment is not None:
                    await self._empty(segment)
                    continue
            self._bell = trio.Event()
            await self._bell.wait()

    async def _let_go(self, segments: list[Segment]) -> None:
        for segment in segments:
            self._journal.write_again([*self._books.forget(segment), Gone(segment.number)])
        await self._journal.wait_synced(self._journal.appended)
        for segment in segments:
            try:
                await self._disk.remove(segment.name)
            except OSError as error:
                self._journal.fail(segment.name, error)
                return

    async def _empty(self, segment: Segment) -> None:
        """Write what lives in the segment again, so that it can go."""
        await self._journal.wait_synced(self._journal.appended)
        try:
            data = await self._disk.read(segment.name)
        except OSError as error:
            self._journal.fail(segment.name, error)
            return
        copied_upto = self._journal.appended
        scan = Scan(data, segment.number, closed=True)
        for step, publish in enumerate(living_publishes(scan, data, segment, self._books), 1):
            if publish is not None:
                self._copy(publish)
            if self._journal.appended > copied_upto + COPIED_BYTES_PER_SYNC:
                copied_upto = self._journal.appended
                await self._journal.wait_synced(copied_upto)
            elif step % RECORDS_PER_STEP == 0:
                await trio.lowlevel.checkpoint()

    def _copy(self, publish: Publish) -> None:
        """Copy what no settle waits for: a copy behind its settle would be a message that lives again."""
        run = publish.run
        run.origin, run.sequence = None, 0  # what was taken from an origin is state of its own
        unreleased = self._books.accounts[publish.queue_id].unreleased
        first = run.first
        for settled_first, settled_last in [*unreleased.within(run.first, run.last), (run.last + 1, run.last + 1)]:
            if first < settled_first:
                self._journal.copy(
                    Publish(publish.queue_id, publish.term, run.cut(first - run.first, settled_first - run.first))
                )
            first = settled_last + 1
