"""A walk along the messages of a queue whose master is here, in the order of their positions, which leaves no trace.

Decides how far one step goes, so that neither memory nor the time of others depends on how much is there: what is on
disk only is read page by page and forgotten again. Flags, order, counters and the time of an unused queue stay as they
are. It must not know what is looked for.
"""

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from broker.queues.page import Page
from broker.queues.positions import first_of, last_of
from broker.wire.message import Run

if TYPE_CHECKING:
    from collections.abc import Hashable

    from broker.vhosts.local import Local

STEP_MESSAGES = 500
STEP_BYTES = 1024 * 1024
"""What is looked at without a pause, for others to be served in between: some milliseconds."""
READ_MESSAGES = 2000
"""The same of what is read from disk for it, which may be small messages in great number."""


class Sight(NamedTuple):
    """Some messages as they stand, and who holds them; None: they are ready."""

    run: Run
    holder: "Hashable | None"


class Walk:
    """One walk; `position` is how far it has come, `ended` that there is nothing more, or no master any more."""

    def __init__(
        self, local: "Local", behind: int, upto: int | None = None, *, ready: bool = True, unacked: bool = True
    ) -> None:
        self.position = behind
        self.ended = False
        self._local = local
        self._upto = local.queue.next_position - 1 if upto is None else upto
        self._which = {"ready": ready, "unacked": unacked}

    def skip(self, count: int) -> None:
        """Pass so many messages without a look at them: nothing is read for that."""
        for piece, _ in self._local.queue.seen_behind(self.position, **self._which):
            if not count or piece.first > self._upto:
                return
            passed = min(count, piece.count)
            self.position = piece.first + passed - 1
            count -= passed

    async def step(self) -> list[Sight]:
        """The next few messages; none if those that came next have gone meanwhile, or if it has `ended`."""
        local = self._local
        found: list[Sight] = []
        count = size_bytes = 0
        for piece, holder in local.queue.seen_behind(self.position, **self._which):
            if piece.first > self._upto:
                break
            if isinstance(piece, Page):
                return found or await self._read(piece.cut(0, min(piece.count, READ_MESSAGES)))
            part = piece.cut(0, _fitting(piece, STEP_MESSAGES - count, STEP_BYTES - size_bytes))
            found.append(Sight(part, holder))
            self.position = part.last
            count += part.count
            size_bytes += part.size_bytes
            if part.count < piece.count or count >= STEP_MESSAGES or size_bytes >= STEP_BYTES:
                return found
        self.ended = True
        return found

    async def _read(self, page: Page) -> list[Sight]:
        """What of a page is still there when it has been read, with whoever holds it by then."""
        local = self._local
        runs = await local.pager.load(page.first, page.last)
        if local.ended:
            self.ended = True
            return []
        found: list[Sight] = []
        for piece, holder in local.queue.seen_behind(page.first - 1, **self._which):
            if piece.first > page.last:
                break
            last = min(piece.last, page.last)
            begin, stop = bisect_left(runs, piece.first, key=last_of), bisect_right(runs, last, key=first_of)
            there = piece.cut(0, last + 1 - piece.first)
            filled = there.filled(runs[begin:stop]) if isinstance(there, Page) else [there]
            found += [Sight(run, holder) for run in filled if isinstance(run, Run)]
        self.position = page.last
        return found


def _fitting(run: Run, count_max: int, bytes_max: int) -> int:
    """How many of its first messages are not more than that, at least one."""
    size_bytes = 0
    for count, content in enumerate(run.contents[:count_max]):
        size_bytes += len(content)
        if size_bytes > bytes_max:
            return max(1, count)
    return max(1, min(run.count, count_max))
