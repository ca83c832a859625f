"""Reading a segment back, whatever happened to it.

Decides which bytes of a file are records, which are the torn tail of a writer that died, and which are damage. It must
not know what the records add up to. Everything before a Batch was synced before the batch was written, so a bad record
with a sound batch behind it was once good: damage, to be reported. One without, in the last segment, was never
synced: it and what follows is cut. Behind damage reading goes on where records follow one another without a gap up to
the next batch; so bytes inside a message are not taken for records, though they may look like some. A summary ends
the records.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from broker.storage.segments import Segment
from broker.wire.records import Batch, Opening, Outline, Record, Summary, skim
from broker.wire.sealed import MAGIC, VERSION, DamagedRecord, TornRecord, UnknownRecord

_BATCH_START = MAGIC + bytes((VERSION, Batch.KIND))


@dataclass(slots=True)
class Gap:
    """Bytes of a segment that were records once."""

    offset: int
    length: int
    why: str


class Scan:
    """Iterate once: (offset, end, record) of every sound record in order, a publish as its outline.

    Afterwards `gaps` has the damage, and `end` is where the sound bytes end: behind it lies the torn tail of a segment
    that was not closed. UnknownRecord climbs: these are the files of a newer release.
    """

    def __init__(self, data: bytes, number: int, *, closed: bool) -> None:
        self._data = data
        self._number = number
        self._closed = closed
        self.gaps: list[Gap] = []
        self.end = 0
        self.has_footer = False
        self.sound_from = 0  # behind the last gap so far

    def __iter__(self) -> Iterator[tuple[int, int, Record | Outline]]:
        while self.end < len(self._data):
            offset = self.end
            try:
                record, end = self._read(offset)
            except (TornRecord, DamagedRecord) as error:
                resume = self._resume_behind(offset)
                if resume is None:
                    return
                self.gaps.append(Gap(offset, resume - offset, str(error)))
                self.end = self.sound_from = resume
                continue
            if isinstance(record, Summary):
                self.has_footer = True
                return  # what follows says the same once more
            yield offset, end, record
            self.end = end

    def _read(self, offset: int) -> tuple[Record | Outline, int]:
        try:
            record, end = skim(self._data, offset)
        except UnknownRecord as unknown:
            raise UnknownRecord(f"{Segment(self._number).name}: {unknown}") from None
        expected = (self._number, offset)
        if (isinstance(record, Batch | Summary) and (record.number, record.offset) != expected) or (
            isinstance(record, Opening) and (record.number, 0) != expected
        ):
            raise DamagedRecord(f"the record at {offset} belongs to another place")
        return record, end

    def _resume_behind(self, offset: int) -> int | None:
        """Where sound records go on; None if nothing that was synced lies behind."""
        stop = self._next_batch(offset + 1)
        if stop is None:
            if not self._closed:
                return None
            stop = len(self._data)
        candidate = self._data.find(MAGIC, offset + 1, stop)
        while candidate != -1:
            if self._is_chain(candidate, stop):
                return candidate
            candidate = self._data.find(MAGIC, candidate + 1, stop)
        return stop

    def _next_batch(self, offset: int) -> int | None:
        offset = self._data.find(_BATCH_START, offset)
        while offset != -1:
            if self._is_sound(offset):
                return offset
            offset = self._data.find(_BATCH_START, offset + 1)
        return None

    def _is_sound(self, offset: int) -> bool:
        try:
            self._read(offset)
        except (TornRecord, DamagedRecord):
            return False
        return True

    def _is_chain(self, offset: int, stop: int) -> bool:
        """Whether records follow one another from here exactly to there."""
        try:
            while offset < stop:
                _, offset = self._read(offset)
        except (TornRecord, DamagedRecord):
            return False
        return offset == stop
