"""Where in a segment the records of one queue lie: positions -> a span of bytes.

Decides how finely that is known: neighbours in the file are one entry as long as it is short enough to be read at one
go, so a busy queue costs a few words per entry and not per record. Between the records of an entry those of other
queues may lie. It must not know files or contents.
"""

from array import array
from bisect import bisect_left, bisect_right

ENTRY_BYTES_MAX = 16 * 1024


class Places:
    """Entries in the order of the file: (first position, last position, offset, end)."""

    __slots__ = ("_ascending", "_last", "_limit", "ends", "firsts", "lasts", "offsets")

    def __init__(
        self,
        firsts: "array[int] | None" = None,
        lasts: "array[int] | None" = None,
        offsets: "array[int] | None" = None,
        ends: "array[int] | None" = None,
    ) -> None:
        self.firsts = array("Q") if firsts is None else firsts
        self.lasts = array("Q") if lasts is None else lasts
        self.offsets = array("I") if offsets is None else offsets
        self.ends = array("I") if ends is None else ends
        self._ascending = all(map(int.__lt__, self.lasts, self.firsts[1:]))
        self._last = -1  # of the newest entry, and where that must end to be one
        self._limit = 0

    def __len__(self) -> int:
        return len(self.firsts)

    def add(self, first: int, last: int, offset: int, size_bytes: int, sound_from: int = 0) -> None:
        """A record with these positions stands there, behind all others; all is sound from `sound_from` on."""
        end = offset + size_bytes
        if first <= self._last:
            self._ascending = False
        elif end <= self._limit and sound_from + ENTRY_BYTES_MAX <= self._limit:
            self.lasts[-1] = self._last = last
            self.ends[-1] = end
            return
        self.firsts.append(first)
        self.lasts.append(last)
        self.offsets.append(offset)
        self.ends.append(end)
        self._last = last
        self._limit = offset + ENTRY_BYTES_MAX

    def spans(self, first: int, last: int) -> list[tuple[int, int]]:
        """The bytes (offset, end) that have everything there is of these positions."""
        if self._ascending:
            entries = range(bisect_left(self.lasts, first), bisect_right(self.firsts, last))
            return [(self.offsets[index], self.ends[index]) for index in entries]
        return [
            (offset, end)
            for from_, upto, offset, end in zip(self.firsts, self.lasts, self.offsets, self.ends, strict=True)
            if from_ <= last and upto >= first
        ]
