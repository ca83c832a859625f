"""Which letters of other queues a queue has taken: dead letters, and messages whose delay is over (DESIGN rule S16).

Decides what of a letter is new here. A letter is known by the queue that passes it on and its position there, with the
term that owns it: another message may have stood there once. What is remembered is state of the log, in records of
origins with names of their own; each says where the letters stand here, so that nobody claims what a cut took away. It
must not know how letters travel, nor why they are sent again.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator
from operator import attrgetter

from broker.mirroring.ranges import Range, intersect, subtract
from broker.wire.message import Place

REMEMBERED_MAX = 1024
"""So many stretches of letters are remembered; what was forgotten and is sent again comes twice (S11)."""
_NAME = "letters "
"""No node's name has a space in it."""

Change = tuple[str, int, list[Range]]
"""Name, highest and ranges of an origin record; highest 0 forgets it."""


class Stretch:
    """Letters first..last of one queue under one term; the last of them stands here at position `at`."""

    __slots__ = ("at", "first", "last", "queue_id", "term")

    def __init__(self, queue_id: int, term: int, first: int, last: int, at: int) -> None:
        self.queue_id = queue_id
        self.term = term
        self.first = first
        self.last = last
        self.at = at

    @property
    def name(self) -> str:
        """Of the record that tells it."""
        return f"{_NAME}{self.queue_id:x} {self.term:x} {self.first:x}"

    @property
    def told(self) -> Change:
        """As a record says it."""
        return self.name, self.at, [(self.first, self.last)]


_first = attrgetter("first")


def is_of_letters(origin: str) -> bool:
    """Whether a record of this origin is about letters, not about a node's publications."""
    return origin.startswith(_NAME)


class Repeats:
    """What one copy remembers of letters."""

    __slots__ = ("_by_name", "_by_source")

    def __init__(self) -> None:
        self._by_name: dict[str, Stretch] = {}
        """The oldest first."""
        self._by_source: dict[tuple[int, int], list[Stretch]] = {}
        """By queue and term, in the order of positions there."""

    def __len__(self) -> int:
        return len(self._by_name)

    def fresh(self, place: Place, count: int) -> list[tuple[int, int]]:
        """Which of so many letters from this place on are not known: index ranges (start, stop)."""
        stretches = self._by_source.get((place.queue_id, place.term))
        first, last = place.position, place.position + count - 1
        if not stretches:
            return [(0, count)]
        index = max(0, bisect_right(stretches, first, key=_first) - 1)
        known: list[Range] = []
        while index < len(stretches) and stretches[index].first <= last:
            known.append((stretches[index].first, stretches[index].last))
            index += 1
        return [(begin - first, end - first + 1) for begin, end in subtract([(first, last)], known)]

    def take(self, place: Place, count: int, at: int) -> list[Change]:
        """So many letters from this place on come to stand here from position `at` on; what the log has to know."""
        newest = next(reversed(self._by_name.values()), None)
        if newest is not None and (newest.queue_id, newest.term, newest.last + 1, newest.at + 1) == (*place, at):
            newest.last += count
            newest.at += count
            return [newest.told]
        stretch = Stretch(place.queue_id, place.term, place.position, place.position + count - 1, at + count - 1)
        self._add(stretch)
        return [stretch.told, *self._forget_oldest()]

    def learn(self, name: str, at: int, ranges: list[Range]) -> list[Change]:
        """What a record says; what the log has to know besides."""
        known = self._by_name.get(name)
        if known is not None:
            self._remove(known)
        if not (at and ranges):
            return []
        queue_id, term, _ = (int(part, 16) for part in name.removeprefix(_NAME).split(" "))
        self._add(Stretch(queue_id, term, *ranges[0], at))
        return self._forget_oldest()

    def truncate(self, position: int) -> list[Change]:
        """Nothing stands here above this position; what the log has to know."""
        changes: list[Change] = []
        for stretch in [stretch for stretch in self._by_name.values() if stretch.at > position]:
            left = stretch.last - stretch.first + 1 - (stretch.at - position)
            if left > 0:
                stretch.last = stretch.first + left - 1
                stretch.at = position
                changes.append(stretch.told)
            else:
                self._remove(stretch)
                changes.append((stretch.name, 0, []))
        return changes

    def forget_at(self, ranges: list[Range]) -> list[Change]:
        """What should stand at these positions here does not; what the log has to know."""
        gone = [
            stretch
            for stretch in self._by_name.values()
            if intersect([(stretch.at - stretch.last + stretch.first, stretch.at)], ranges)
        ]
        for stretch in gone:
            self._remove(stretch)
        return [(stretch.name, 0, []) for stretch in gone]

    def told(self) -> Iterator[Change]:
        """Everything, the oldest first."""
        return (stretch.told for stretch in self._by_name.values())

    def _forget_oldest(self) -> list[Change]:
        if len(self._by_name) <= REMEMBERED_MAX:
            return []
        oldest = next(iter(self._by_name.values()))
        self._remove(oldest)
        return [(oldest.name, 0, [])]

    def _add(self, stretch: Stretch) -> None:
        self._by_name[stretch.name] = stretch
        insort(self._by_source.setdefault((stretch.queue_id, stretch.term), []), stretch, key=_first)

    def _remove(self, stretch: Stretch) -> None:
        del self._by_name[stretch.name]
        source = (stretch.queue_id, stretch.term)
        self._by_source[source].remove(stretch)
        if not self._by_source[source]:
            del self._by_source[source]
