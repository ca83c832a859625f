"""For whom a new master waits before it gives anything out: the other nodes, whose consumers may have answered for what
its predecessor gave them.

Decides how long: until each has told what it keeps (DESIGN rule S6), and not much longer than that takes. It must not
know what they tell.
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from broker.mirroring.master import Master

HEARING_S = 1.0
"""Who has not told by then may see again what was answered for, as a frozen node may."""


class Hearing:
    """The other nodes as one master sees them, from its first moment on."""

    def __init__(
        self, master: "Master", peers: Collection[str], spawn: Callable[..., None], go_on: Callable[[], None]
    ) -> None:
        """`go_on` is called when there is nobody to wait for any more."""
        self._unheard = set(peers)
        self._go_on = go_on
        self.holds_back = bool(self._unheard) and self._may_have_given(master)
        """Whether nothing is to be given out yet."""
        if self.holds_back:
            master.give(False)
            spawn(self._wait)

    @staticmethod
    def _may_have_given(master: "Master") -> bool:
        """Whether anything that is ready may have been delivered by a former master."""
        first = master.queue.first_ready
        return first is not None and first <= max(master.copy.marks.values(), default=0)

    def heard(self, peer: str) -> None:
        """This node has told what its consumers have answered for."""
        self._unheard.discard(peer)
        if not self._unheard:
            self._stop()

    def end(self) -> None:
        """The master is no more: nobody will tell it anything."""
        self._unheard.clear()

    async def _wait(self) -> None:
        await trio.sleep(HEARING_S)
        self._stop()

    def _stop(self) -> None:
        if self.holds_back:
            self.holds_back = False
            self._go_on()

    async def all_heard(self, running_peers: Callable[[], list[str]]) -> None:
        """Wait for all, however long that takes; those that have ended tell nothing any more."""
        while self._unheard.intersection(running_peers()):  # noqa: ASYNC110 - nobody says who has ended
            await trio.sleep(HEARING_S)
