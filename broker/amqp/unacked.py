"""What one channel has delivered and not got an answer for, as runs of delivery tags.

Decides which messages an acknowledgement means. It must not know queues: a source is whatever was handed in with the
delivery and is only handed back. Tags of a channel go up by one; a run has consecutive tags and consecutive positions.
Answers that come in the order of delivery cost O(1) per run.
"""

from bisect import bisect_right
from operator import attrgetter
from typing import Protocol

from broker.amqp.errors import ChannelException

_GONE_MAX = 64


class Source(Protocol):
    """Where deliveries came from: whatever the vhosts room uses to find the holder of unacknowledged messages."""


Settled = tuple[Source, int, int]
"""A source, the first and the last position of consecutive messages that were answered for."""


class UnackedRun:
    """Consecutive deliveries; the one with tag `first_tag` stands at `first_position` of its queue."""

    __slots__ = ("first_position", "first_tag", "last_tag", "source")

    def __init__(self, first_tag: int, last_tag: int, source: Source, first_position: int) -> None:
        self.first_tag = first_tag
        self.last_tag = last_tag
        self.source = source
        self.first_position = first_position

    def __len__(self) -> int:
        return self.last_tag - self.first_tag + 1

    @property
    def settled(self) -> Settled:
        """The run in the words of its source."""
        return self.source, self.first_position, self.first_position + self.last_tag - self.first_tag

    def part(self, first_tag: int, last_tag: int) -> "UnackedRun":
        """The deliveries first_tag to last_tag of this run, as a run of their own."""
        return UnackedRun(first_tag, last_tag, self.source, self.first_position + first_tag - self.first_tag)


_first_tag = attrgetter("first_tag")


class Unacked:
    """The unanswered deliveries of a channel, in the order of their tags."""

    __slots__ = ("_head", "_runs", "count")

    def __init__(self) -> None:
        self._runs: list[UnackedRun] = []
        self._head = 0  # runs before it are gone; the list is shortened now and then
        self.count = 0

    @property
    def oldest_tag(self) -> int | None:
        """The lowest tag without an answer."""
        return self._runs[self._head].first_tag if self._head < len(self._runs) else None

    def add(self, run: UnackedRun) -> None:
        """Remember a run; its tags are higher than all before."""
        self._runs.append(run)
        self.count += len(run)

    def held_by(self, source: Source) -> list[tuple[int, int]]:
        """The positions (first, last) of what came from this source and has no answer."""
        return [run.settled[1:] for run in self._runs[self._head :] if run.source is source]

    def take(self, first_tag: int, last_tag: int, multiple: bool) -> list[UnackedRun]:
        """Forget what is answered for: first_tag to last_tag, or all up to last_tag if `multiple` (0 = all).

        Without `multiple` the answer ends before the first tag that is not known. Raises ChannelException (406) if
        the first tag, or with `multiple` the last one, is not known.
        """
        if multiple:
            return self._take_upto(last_tag)
        taken: list[UnackedRun] = []
        while first_tag <= last_tag:
            at = self._find(first_tag)
            if at is None:
                break
            run = self._runs[at]
            taken.append(self._cut(at, first_tag, min(last_tag, run.last_tag)))
            first_tag = taken[-1].last_tag + 1
        if not taken:
            raise ChannelException(406, f"unknown delivery tag {first_tag}")
        return taken

    def take_all(self) -> list[UnackedRun]:
        """Forget everything."""
        taken = self._runs[self._head :]
        self._runs, self._head, self.count = [], 0, 0
        return taken

    def restore(self, runs: list[UnackedRun]) -> None:
        """Remember again what was taken."""
        self._runs = sorted(self._runs[self._head :] + runs, key=_first_tag)
        self._head = 0
        self.count += sum(map(len, runs))

    def _take_upto(self, tag: int) -> list[UnackedRun]:
        if tag == 0:
            return self.take_all()
        at = self._find(tag)
        if at is None:
            raise ChannelException(406, f"unknown delivery tag {tag}")
        taken = self._runs[self._head : at]
        self.count -= sum(map(len, taken))
        self._head = at
        taken.append(self._cut(at, self._runs[at].first_tag, tag))
        return taken

    def _find(self, tag: int) -> int | None:
        """The index of the run that holds the tag."""
        runs, at = self._runs, self._head
        if at == len(runs):
            return None
        if tag > runs[at].last_tag:
            at = bisect_right(runs, tag, lo=at, key=_first_tag) - 1
        return at if runs[at].first_tag <= tag <= runs[at].last_tag else None

    def _cut(self, at: int, first_tag: int, last_tag: int) -> UnackedRun:
        """Take a part out of the run with index `at`."""
        run = self._runs[at]
        part = run.part(first_tag, last_tag)
        self.count -= len(part)
        if first_tag > run.first_tag:
            if last_tag < run.last_tag:
                self._runs.insert(at + 1, run.part(last_tag + 1, run.last_tag))
            run.last_tag = first_tag - 1
        elif last_tag < run.last_tag:
            self._runs[at] = run.part(last_tag + 1, run.last_tag)
        elif at == self._head:
            self._head += 1
            if self._head > _GONE_MAX and self._head * 2 > len(self._runs):
                del self._runs[: self._head]
                self._head = 0
        else:
            del self._runs[at]
        return part
