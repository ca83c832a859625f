"""The end of a closed segment: what its records add up to, where they lie, and where that begins.

Decides what is written there, in which parts, and how much of it is kept at hand. It must not know what the entries of
a summary mean. A footer is worth nothing by itself: it is trusted only where a later segment was begun, for all that
was written before was synced by then, and nobody found damage in the segment.
"""

from array import array
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator

import trio

from broker.storage.places import Places
from broker.storage.segments import Chapter, Segment
from broker.wire.footers import Entry, IndexTable, pack_entries, pack_index, unpack_entries, unpack_index
from broker.wire.records import Closing, Index, Summary, decode, encode
from broker.wire.sealed import HEAD_BYTES, DamagedRecord, TornRecord, skip
from broker.world.disk import Disk

QUEUES_PER_PART = 500
READ_BYTES = 64 * 1024
KEPT_ENTRIES_MAX = 512 * 1024
"""Of indices in memory: 24 bytes each."""
CLOSING_BYTES = len(encode(Closing(0, 0)))


async def footer_of(segment: Segment, offset: int) -> list[bytes]:
    """The footer of a closed segment, to stand at `offset`. In steps, for a segment may know many queues."""
    begin = offset
    queue_ids = sorted(segment.chapters)
    parts = [queue_ids[start : start + QUEUES_PER_PART] for start in range(0, len(queue_ids), QUEUES_PER_PART)]
    chunks: list[bytes] = []
    for number, part in enumerate(parts, 1):
        entries = pack_entries(entry for queue_id in part for entry in _entries(segment.chapters[queue_id], queue_id))
        chunks.append(encode(Summary(segment.number, offset, len(parts) - number, entries)))
        offset += len(chunks[-1])
        await trio.lowlevel.checkpoint()
    segment.index_at = offset
    chunks.append(encode(Index(segment.number, offset, pack_index(await _table_of(segment)))))
    chunks.append(encode(Closing(segment.number, begin)))
    return chunks


def _entries(chapter: Chapter, queue_id: int) -> Iterator[Entry]:
    return chapter.digest.entries(queue_id) if chapter.digest is not None else iter(())


async def _table_of(segment: Segment) -> IndexTable:
    """Where messages lie in the segment; also those that are dead by now, for what killed them may not be durable."""
    table = IndexTable(array("Q"), array("I"), array("Q"), array("Q"), array("I"), array("I"))
    for step, queue_id in enumerate(sorted(segment.chapters), 1):
        places = segment.chapters[queue_id].places
        if step % QUEUES_PER_PART == 0:
            await trio.lowlevel.checkpoint()
        if not places:
            continue
        table.queue_ids.append(queue_id)
        table.counts.append(len(places))
        table.firsts += places.firsts
        table.lasts += places.lasts
        table.offsets += places.offsets
        table.ends += places.ends
    return table


def sum_up(segment: Segment) -> None:
    """The footer is durable: it need not be in memory."""
    segment.summed_up = True
    for chapter in segment.chapters.values():
        chapter.digest = chapter.places = None


def end_of_records(data: bytes, number: int) -> int | None:
    """Where the footer begins, if these bytes of a whole segment end as one that was closed."""
    at = len(data) - CLOSING_BYTES
    try:
        closing, _ = decode(data, at) if at >= 0 else (None, 0)
    except (TornRecord, DamagedRecord):
        return None
    return closing.offset if isinstance(closing, Closing) and closing.number == number else None


async def summary_of(disk: Disk, segment: Segment, offset: int) -> AsyncIterator[list[Entry]]:
    """The entries of the footer that begins at `offset`, part by part; notes where the index stands.

    Raises DamagedRecord or TornRecord if they are not all there.
    """
    reader = _Reader(disk, segment.name, offset)
    while True:
        at = reader.at
        part, _ = decode(await reader.record())
        if not isinstance(part, Summary) or (part.number, part.offset) != (segment.number, at):
            raise DamagedRecord(f"no summary stands at {at}")
        yield list(unpack_entries(part.entries))
        if not part.left:
            break
    segment.index_at = reader.at
    segment.size_bytes = reader.at + await reader.size_of_record() + CLOSING_BYTES


class Indices:
    """The indices of segments whose records were looked for of late."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._kept: OrderedDict[int, tuple[IndexTable, dict[int, tuple[int, int]]]] = OrderedDict()

    async def places(self, segment: Segment, queue_id: int) -> Places:
        """Where the queue's records lie; raises OSError, DamagedRecord or TornRecord."""
        if segment.number not in self._kept:
            table = await self._read(segment)
            ends: dict[int, tuple[int, int]] = {}
            start = 0
            for known_id, count in zip(table.queue_ids, table.counts, strict=True):
                ends[known_id] = (start, start + count)
                start += count
            self._kept[segment.number] = (table, ends)
        self._kept.move_to_end(segment.number)
        table, ends = self._kept[segment.number]
        while len(self._kept) > 1 and sum(len(kept.firsts) for kept, _ in self._kept.values()) > KEPT_ENTRIES_MAX:
            self._kept.popitem(last=False)
        start, stop = ends.get(queue_id, (0, 0))
        return Places(
            table.firsts[start:stop], table.lasts[start:stop], table.offsets[start:stop], table.ends[start:stop]
        )

    async def _read(self, segment: Segment) -> IndexTable:
        record, _ = decode(await _Reader(self._disk, segment.name, segment.index_at).record())
        if not isinstance(record, Index) or (record.number, record.offset) != (segment.number, segment.index_at):
            raise DamagedRecord(f"no index stands at {segment.index_at}")
        return unpack_index(record.places)


class _Reader:
    """Records of a file, one behind the other, of which nobody knows beforehand how long they are."""

    def __init__(self, disk: Disk, name: str, at: int) -> None:
        self.at = at
        self._disk = disk
        self._name = name
        self._ahead = b""

    async def size_of_record(self) -> int:
        """How long the next record says it is."""
        await self._have(HEAD_BYTES)
        return skip(self._ahead, 0)[2]

    async def record(self) -> bytes:
        """The bytes of the next record."""
        size_bytes = await self.size_of_record()
        await self._have(size_bytes)
        data, self._ahead = self._ahead[:size_bytes], self._ahead[size_bytes:]
        self.at += size_bytes
        return data

    async def _have(self, size_bytes: int) -> None:
        lacking = size_bytes - len(self._ahead)
        if lacking > 0:
            at = self.at + len(self._ahead)
            self._ahead += await self._disk.read_range(self._name, at, max(lacking, READ_BYTES))
