"""What one master has on disk only: when its contents leave memory, and when they are read back.

Decides that contents are read ahead of those who will want them, one load at a time, and that what lies on disk for
want of memory alone is given up once it has left the queue. It must not know which messages those are: the queue says
that, and the journal finds them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.vhosts.dispatch import Dispatch, Road
from broker.vhosts.paging import WINDOW_BYTES_MIN
from broker.wire.message import Run

if TYPE_CHECKING:
    from broker.vhosts.local import Local
    from broker.vhosts.paging import Paging


class LostContents(Exception):
    """The journal does not have what a queue has put there: a bug, never the disk's fault."""

    def __init__(self, queue_id: int, first: int, last: int) -> None:
        super().__init__(f"queue {queue_id}: contents of {first}..{last} are not in the journal")


class Pager:
    """One per master."""

    def __init__(self, local: "Local", paging: "Paging", road: Road, spawn: Callable[..., None]) -> None:
        self._local = local
        self._paging = paging
        self._spawn = spawn
        self._journal = local.switchboard.journal
        self._heavy: bool | None = None  # as a copy it may have been
        self._loading = False
        self.letters = Dispatch(local, road, self.load, spawn)

    def turn(self) -> None:
        """The end of a turn, with everything noted: let go of what is too much, and fetch what is wanted next."""
        local = self._local
        queue, master = local.queue, local.master
        resident_bytes, lazy = queue.resident_bytes, queue.settings.lazy
        heavy = resident_bytes > WINDOW_BYTES_MIN
        if heavy != self._heavy or resident_bytes > self._paging.window_bytes or (heavy and lazy):
            self._heavy = heavy
            self._paging.relieve(
                local.queue_id,
                master.term,
                resident_bytes,
                self._page_out,
                durable=master.copy.durable,
                lazy=lazy,
            )
        if master.copy.paged and (freed := master.take_freed()):
            self._journal.settled(local.queue_id, freed)
        if self._loading or (wanted := queue.wanted()) is None:
            return
        if not self.letters.is_crowded or queue.head_is_awaited:
            self._loading = True
            self._spawn(self._fetch, *wanted)

    def _page_out(self, window_bytes: int) -> list[Run]:
        forgotten = self._local.master.page_out(window_bytes)
        if forgotten:
            self.letters.forget(self._local.queue.as_it_is)
        return forgotten

    def end(self) -> None:
        """The master is no more."""
        self._paging.forget(self._local.queue_id)
        self.letters.go_on()

    async def load(self, first: int, last: int) -> list[Run]:
        """The contents of these positions, as far as they live."""
        return await self._journal.load(self._local.queue_id, first, last)

    async def _fetch(self, first: int, last: int) -> None:
        runs = await self.load(first, last)
        self._loading = False
        local = self._local
        if local.ended:
            return
        local.queue.tell_time(local.switchboard.stamp_ms)
        local.queue.page_in(runs)
        if not runs and local.queue.wanted() == (first, last):
            raise LostContents(local.queue_id, first, last)
        local.switchboard.touch(local)
        local.widen()
