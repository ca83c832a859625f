"""What a master on this node gives to those who ask for one message at a time (basic.get).

Decides how long somebody waits who asks for a message that is there, but must be announced or read back first. It must
not know consumers, nor whether the client is here or on another node.
"""

from typing import TYPE_CHECKING

import trio

from broker.vhosts.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Hashable

    from broker.mirroring.master import Master
    from broker.vhosts.publications import Publications
    from broker.vhosts.switchboard import Switchboard
    from broker.wire.message import Run

OPENING_TIMEOUT_S = 10.0


class Fetching(Intake):
    """The side of a master that basic.get sees."""

    def __init__(self, master: "Master", publications: "Publications", switchboard: "Switchboard") -> None:
        super().__init__(master, publications, switchboard)
        self.ended = False
        self._wider = trio.Event()

    def get(self, holder: "Hashable", *, ack_required: bool) -> "Run | None":
        """One message; None if there is none that may be had now (see `opens`)."""
        if self.ended:
            return None
        self._heed_lease()
        self.queue.tell_time(self.switchboard.stamp_ms)
        run = self.queue.get(holder, ack_required)
        if run is not None or self.queue.settings.expires_ms is not None:
            self.switchboard.touch(self)
        return run

    def opens(self) -> bool:
        """Ask that the next message be read back or announced; False if there is nothing to wait for."""
        if self.ended or not self.queue.messages_ready or self.queue.settings.paused:
            return False
        if self.queue.want_head():
            self.switchboard.touch(self)
            return True
        if self.queue.open_upto is None:
            return False
        self.master.open_one()
        self.switchboard.touch(self)
        return True

    async def opened(self) -> None:
        """Wait until more may be delivered than before."""
        await self._wider.wait()

    def widen(self) -> None:
        """Those who wait in basic.get may look again."""
        self._wider.set()
        self._wider = trio.Event()


async def get_opened(local: Fetching, holder: "Hashable", *, ack_required: bool) -> "Run | None":
    """One message for basic.get; waits until the next one was announced to every in-sync copy, if it must be (S7)."""
    run = local.get(holder, ack_required=ack_required)
    with trio.move_on_after(OPENING_TIMEOUT_S):
        while run is None and local.opens():
            await local.opened()
            run = local.get(holder, ack_required=ack_required)
    return run
