"""Reading messages back that have no room in memory.

Decides which bytes of which segments are read for a span of positions, and holds on to the segments meanwhile: what is
copied or settled while a reading goes on cannot take the file away. It must not know who asked, nor what becomes of the
messages. What is not what was written once is damage: it ends the journal's life, and the next one looks closer.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import trio

from broker.storage.books import Books
from broker.storage.holdings import Stretch
from broker.storage.places import Places
from broker.storage.ranges import Ranges
from broker.storage.segments import Segment
from broker.wire.message import Run
from broker.wire.records import Publish, Volatile, decode
from broker.wire.sealed import DamagedRecord, TornRecord, skip
from broker.world.disk import Disk

READ_BYTES_MAX = 1024 * 1024
"""What is read and decoded in one step."""

GAP_BYTES_MAX = 16 * 1024
"""What lies between two places is read, too, if it is no more: to skip it is quicker than to go to the disk again."""

RECORDS_PER_STEP = 200

_CONTENTS = (Publish.KIND, Volatile.KIND)


class Shelf(Protocol):
    """What a reading needs of the journal."""

    async def wait_written(self, segment: Segment, end: int) -> None:
        """Until the file has everything up to there."""

    async def places(self, segment: Segment, queue_id: int) -> Places:
        """Where the queue's records lie in the segment."""

    def damaged(self, segment: Segment, offset: int, why: object) -> Exception:
        """What was written there cannot be read: the exception to raise."""

    def let_go(self, segment: Segment) -> None:
        """Nobody reads in the segment any more."""


class Reading:
    """The messages of some positions that live now. To be read once, or else to be released."""

    def __init__(self, shelf: Shelf, disk: Disk, books: Books, queue_id: int, first: int, last: int) -> None:
        self._shelf = shelf
        self._disk = disk
        self._queue_id = queue_id
        self._stretches: dict[Segment, list[Stretch]] = {}
        account = books.accounts.get(queue_id)
        for stretch in account.holdings.within(first, last) if account is not None else ():
            self._stretches.setdefault(stretch.segment, []).append(stretch)
        self._pinned = list(self._stretches)
        for segment in self._pinned:
            segment.pins += 1

    def release(self) -> None:
        """Let the segments go; may be called twice."""
        while self._pinned:
            segment = self._pinned.pop()
            segment.pins -= 1
            if not segment.pins:
                self._shelf.let_go(segment)

    async def read(self) -> list[Run]:
        """The messages in order, with the flags they were written with; raises JournalFailed."""
        try:
            runs: list[Run] = []
            for segment, stretches in self._stretches.items():
                runs += await self._read_segment(segment, stretches)
            if len(self._stretches) > 1:
                runs.sort(key=lambda run: run.first)
            return runs
        finally:
            self.release()

    async def _read_segment(self, segment: Segment, stretches: list[Stretch]) -> list[Run]:
        places = await self._shelf.places(segment, self._queue_id)
        spans = joined(
            (span for stretch in stretches for span in places.spans(stretch.first, stretch.last)), segment.sound_from
        )
        wanted = Wanted(self._queue_id, stretches)
        for offset, end in spans:
            await self._shelf.wait_written(segment, end)
            try:
                data = await self._disk.read_range(segment.name, offset, end - offset)
            except OSError as error:
                raise self._shelf.damaged(segment, offset, error.strerror or error) from error
            try:
                for _ in wanted.take_from(data):
                    await trio.lowlevel.checkpoint()
            except (TornRecord, DamagedRecord) as error:
                raise self._shelf.damaged(segment, offset, error) from error
            await trio.lowlevel.checkpoint()
        try:
            wanted.check()
        except DamagedRecord as error:
            raise self._shelf.damaged(segment, 0, error) from error
        return [record.run for record in wanted.records()]


class Wanted:
    """Picks the messages of some stretches, all in one segment, out of its bytes."""

    def __init__(self, queue_id: int, stretches: Iterable[Stretch]) -> None:
        self._queue_id = queue_id
        self._lacking: dict[int, Ranges] = {}  # by term
        self._found: list[Publish | Volatile] = []
        for stretch in stretches:
            self._lacking.setdefault(stretch.term, Ranges()).add(stretch.first, stretch.last)

    def take_from(self, data: bytes) -> Iterator[None]:
        """Take what is wanted of these bytes, which start with a record and end with one; stops after a few each."""
        offset = step = 0
        while offset < len(data):
            kind, queue_id, end = skip(data, offset)
            if kind in _CONTENTS and queue_id == self._queue_id:
                record, _ = decode(data, offset)
                assert isinstance(record, Publish | Volatile)
                self._take(record)
                step += 1
                if step % RECORDS_PER_STEP == 0:
                    yield
            offset = end
        if offset > len(data):
            raise TornRecord(f"the record at the end of {len(data)} bytes is longer than they are")

    def _take(self, record: Publish | Volatile) -> None:
        lacking = self._lacking.get(record.term)
        if lacking is None:
            return
        run = record.run
        for first, last in lacking.within(run.first, run.last):
            lacking.remove(first, last)
            part = run if last - first + 1 == len(run.contents) else run.cut(first - run.first, last + 1 - run.first)
            self._found.append(type(record)(record.queue_id, record.term, part))

    def check(self) -> None:
        """Raise DamagedRecord if not everything was found."""
        missing = [span for lacking in self._lacking.values() for span in lacking]
        if missing:
            raise DamagedRecord(f"positions {missing} are not where they were written")

    def records(self) -> list[Publish | Volatile]:
        """What was found, by position."""
        return sorted(self._found, key=lambda record: record.run.first)


def joined(spans: Iterable[tuple[int, int]], sound_from: int | None = None) -> list[tuple[int, int]]:
    """Neighbouring bytes are taken at one go, unless that gets too much; with `sound_from`, behind which everything is
    sound, also such as have a little between them."""
    together: list[tuple[int, int]] = []
    for offset, end in sorted(spans):
        if together:
            start, stop = together[-1]
            near = stop if sound_from is None or stop < sound_from else stop + GAP_BYTES_MAX
            if offset <= near and (end <= stop or end - start <= READ_BYTES_MAX):
                together[-1] = (start, max(end, stop))
                continue
            offset = max(offset, stop)
        if offset < end:
            together.append((offset, end))
    return together
