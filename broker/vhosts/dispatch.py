"""Sends the dead letters of one queue on their way, those whose contents lie on disk, too.

Decides the order, which is that of dying, and how many may be under way: contents are read for a few at a time. It must
not know where letters go, nor when they are safe there.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import trio

from broker.wire.message import Run

if TYPE_CHECKING:
    from broker.queues.dead_letter import DeadLetter
    from broker.vhosts.local import Local

UNDER_WAY_MAX = 16_384
"""While so many messages are on their way, contents of no others are read (DESIGN S11)."""

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
        self._changed = trio.Event()

    @property
    def is_crowded(self) -> bool:
        """Whether so much is under way that nothing more should die just now, if that can wait."""
        return self._under_way > UNDER_WAY_MAX

    def send(self, letter: "DeadLetter") -> None:
        """Let this one follow those that died before it."""
        if letter.page is None and not self._busy:
            self._send(letter)
            return
        self._waiting.append(letter)
        if not self._busy:
            self._busy = True
            self._spawn(self._work)

    def answered(self, count: int) -> bool:
        """So many are safe elsewhere, or have to wait; True if there is room again."""
        was_crowded = self.is_crowded
        self._under_way -= count
        self.go_on()
        return was_crowded and not self.is_crowded

    def go_on(self) -> None:
        """Whatever is waited for may have happened."""
        self._changed.set()
        self._changed = trio.Event()

    def _send(self, letter: "DeadLetter") -> None:
        self._under_way += letter.piece.count
        self._road.send(self._source, letter)

    async def _work(self) -> None:
        source = self._source
        while self._waiting and not source.ended:
            if self.is_crowded or not source.master.gives:  # without a lease a successor may send the same
                await self._changed.wait()
                continue
            letter = self._waiting.popleft()
            page = letter.page
            runs = [] if page is None else await self._load(page.first, page.last)
            if not source.ended:
                for each in letter.loaded(runs):
                    self._send(each)
        self._busy = False
