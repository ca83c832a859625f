"""How the master of a queue is asked something, wherever it is.

Decides how long somebody waits for a master, who is asked again when it changes meanwhile, and what is said when there
is none. It must not know what is asked.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from broker.amqp.errors import ChannelException
from broker.cluster.records import UNAVAILABLE, QueueRecord
from broker.vhosts.local import Local
from broker.vhosts.remote import Remote
from broker.vhosts.subscription import Holder
from broker.vhosts.switchboard import PeerLost

if TYPE_CHECKING:
    from broker.vhosts.guests import Question

RETRY_S = 0.005
MASTER_TIMEOUT_S = 60.0
"""How long an operation waits for a master while the queue's record says that there is one."""


class Moved(Exception):
    """The side that served a holder went away while it was asked: whatever it gave has returned."""


class Asking:
    """One queue, and the side that serves it: here, elsewhere, or none at the moment."""

    def __init__(self, record: QueueRecord) -> None:
        self.record = record
        self.local: Local | None = None
        self.remote: Remote | None = None
        self.deleted = False
        self._changed = trio.Event()

    @property
    def text(self) -> str:
        """As RabbitMQ's reply texts name a queue."""
        return f"queue '{self.record.name}' in vhost '{self.record.vhost}'"

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _side(self) -> Local | Remote:
        """Whoever serves; waits for a master that is about to be there, and raises 404 if there is none to wait for."""
        with trio.move_on_after(MASTER_TIMEOUT_S):
            while True:
                if self.deleted:
                    raise ChannelException(404, f"no {self.text}")
                if self.local is not None:
                    return self.local
                if self.remote is not None and self.remote.ready:
                    return self.remote
                self.check_present()
                await self._changed.wait()
        raise self._absent()

    def check_present(self) -> None:
        """Raise 404 unless there is a master, or one is about to be there."""
        if not self.record.expects_master:
            raise self._absent()

    def _absent(self) -> ChannelException:
        """In RabbitMQ's words; and why, if none of its mirrors may take over."""
        record = self.record
        kind = "durable " if record.durable else ""
        why = f": {record.reason}" if record.state == UNAVAILABLE else ""
        text = f"home node 'rabbit@{record.master.node}' of {kind}{self.text} is down or inaccessible{why}"
        return ChannelException(404, text)

    async def _call(self, do: str, holder: Holder | None = None, **fields: Any) -> tuple[dict[str, Any], bytes] | Local:
        """The local side, or the answer of the remote one; asks again after a failover.

        Raises Moved if the failover ended the holder in whose name it asks. What a holder asked for is waited for even
        if its client has gone: it has to be given back.
        """
        while True:
            side = await self._side()
            answer: tuple[dict[str, Any], bytes] | Local | None = side if isinstance(side, Local) else None
            if isinstance(side, Remote) and (holder is None or holder.alive):  # it may have ended before this one came
                with suppress(PeerLost), trio.CancelScope(shield=holder is not None):
                    answer = await side.call(do, **fields)
                if side is not self.remote:
                    answer = None  # of a master that has been replaced meanwhile: it says nothing any more
            if holder is not None and not holder.alive:
                raise Moved
            if isinstance(answer, Local) or (answer is not None and "not_master" not in answer[0]):
                return answer
            await trio.sleep(RETRY_S)

    async def ask(self, do: str, question: "Question", **fields: Any) -> dict[str, Any]:
        """The answer of the master; one that ends before it is certain of that leaves it to the next."""
        while True:
            answer = await self._call(do, **fields)
            if (told := await question(answer, fields) if isinstance(answer, Local) else answer[0]) is not None:
                return told
            await trio.sleep(RETRY_S)
