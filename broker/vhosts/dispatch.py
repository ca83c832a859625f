"""Sends the dead letters of one queue on their way, those whose contents lie on disk, too.

Decides the order, which is that of dying, and how many may be under way: contents are read for a few at a time, and
sent in steps short enough for others to be served in between. It must not know where letters go, nor when they are
safe there.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import trio

from broker.queues.line import GAPS_MAX
from broker.queues.positions import first_of, last_of
from broker.wire.message import Run

if TYPE_CHECKING:
    from broker.queues.dead_letter import DeadLetter
    from broker.vhosts.local import Local

UNDER_WAY_MAX = 16_384
UNDER_WAY_BYTES_MAX = 16 * 1024 * 1024
"""While so much is on its way, contents of nothing else are read (DESIGN S11)."""
JOURNAL_BACKLOG_BYTES_MAX = 16 * 1024 * 1024
"""Nor while so much waits for the disk: what need not be there to be safe is answered long before."""
LOOK_AGAIN_S = 0.01
"""Nobody says when the disk has less to do."""
LOAD_BYTES_MAX = 1024 * 1024
"""What neighbours that are read at once take in memory."""
STEP_MESSAGES = 1024
"""So many are sent at once, which takes some 25 ms if no two are alike."""

Load = Callable[[int, int], Awaitable[list[Run]]]


class Road(Protocol):
    """How messages get from a queue to where they go."""

    def send(self, source: "Local", dead: "DeadLetter") -> None:
        """Publish them; the source is told of each when it is safe, or cannot be had."""


class Dispatch:
    """The dead letters of one master."""

    def __init__(self, source: "Local", road: Road, load: Load, spawn: Callable[..., None]) -> None:
        self._source = source
        self._road = road
        self._load = load
        self._spawn = spawn
        self._waiting: deque[DeadLetter] = deque()
        self._busy = False
        self._under_way = 0
        self._under_way_bytes = 0
        self._sent_at_once = 0
        self._changed = trio.Event()

    @property
    def is_crowded(self) -> bool:
        """Whether so much is under way that nothing more should die just now, if that can wait."""
        return self._under_way > UNDER_WAY_MAX or self._under_way_bytes > UNDER_WAY_BYTES_MAX

    def send(self, letter: "DeadLetter") -> None:
        """Let this one follow those that died before it."""
        if letter.page is None and not self._busy and not self.is_crowded:
            self._send(letter)
            return
        self._waiting.append(letter)
        if not self._busy:
            self._busy = True
            self._spawn(self._work)

    def forget(self, as_it_is: "Callable[[DeadLetter], DeadLetter]") -> None:
        """Contents have left memory: those of letters that wait here must, too, or nothing is gained."""
        self._waiting = deque(letter if letter.page else as_it_is(letter) for letter in self._waiting)

    def answered(self, count: int) -> bool:
        """So many are safe elsewhere, or have to wait; True if there is room again."""
        was_crowded = self.is_crowded
        self._under_way_bytes -= self._under_way_bytes * count // max(count, self._under_way)  # as if all were alike
        self._under_way -= count
        self.go_on()
        return was_crowded and not self.is_crowded

    def go_on(self) -> None:
        """Whatever is waited for may have happened."""
        self._changed.set()
        self._changed = trio.Event()

    def _send(self, letter: "DeadLetter") -> None:
        self._under_way += letter.piece.count
        self._under_way_bytes += sum(map(len, letter.run.contents))
        self._road.send(self._source, letter)

    async def _work(self) -> None:
        while self._waiting and await self._may_send():
            letters = self._take_next()
            runs: list[Run] = []
            if letters[0].page is not None:
                runs = await self._load(letters[0].piece.first, letters[-1].piece.last)
            for letter in letters:
                begin = bisect_left(runs, letter.piece.first, key=last_of)
                stop = bisect_right(runs, letter.piece.last, lo=begin, key=first_of)
                for each in letter.loaded(runs[begin:stop]):
                    await self._send_in_steps(each)
        self._busy = False

    def _take_next(self) -> "list[DeadLetter]":
        """The next letter, and those behind it whose contents are worth the same load."""
        letters = [self._waiting.popleft()]
        page = letters[0].page
        if page is None:
            return letters
        first, last, count, weight_bytes = page.first, page.last, page.count, page.weight_bytes
        while self._waiting and (page := self._waiting[0].page) is not None:
            count += page.count
            weight_bytes += page.weight_bytes
            if page.first <= last or weight_bytes > LOAD_BYTES_MAX or page.last - first >= GAPS_MAX * count:
                break
            last = page.last
            letters.append(self._waiting.popleft())
        return letters

    async def _send_in_steps(self, letter: "DeadLetter") -> None:
        first, last = letter.piece.first, letter.piece.last
        while first <= last and await self._may_send():
            upto = min(last, first + STEP_MESSAGES - 1) if first else last  # what never stood in the queue is one
            self._send(letter.part(first, upto))
            self._sent_at_once += upto + 1 - first
            first = upto + 1

    async def _may_send(self) -> bool:
        """Wait until the next may go; False if none will."""
        source = self._source
        if self._sent_at_once >= STEP_MESSAGES:
            self._sent_at_once = 0
            await trio.lowlevel.checkpoint()
        # without a lease a successor may send the same
        while not source.ended and (self.is_crowded or not source.master.gives or self._disk_is_behind):
            with trio.move_on_after(LOOK_AGAIN_S if self._disk_is_behind else float("inf")):
                await self._changed.wait()
        return not source.ended

    @property
    def _disk_is_behind(self) -> bool:
        return self._source.switchboard.journal.backlog_bytes > JOURNAL_BACKLOG_BYTES_MAX
