"""What an operator does to a client or a queue, wherever that is: close it, purge it, pause it, fill its mirrors.

Decides how such a request becomes a verb of the hall. It must not know the command line.
"""

from typing import TYPE_CHECKING, Any

import trio

from broker.cluster.asked import ask, ask_all
from broker.cluster.refusal import Refused
from broker.node.naming import queue_of
from policies.quorum import is_quorum

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from broker.management.census import Census
    from broker.vhosts.hall import Hall
    from broker.vhosts.handle import Handle

Answer = dict[str, Any]

DELAY_MS_MAX = 24 * 60 * 60 * 1000
"""A day."""


class Interventions:
    """The verbs of one life of a node."""

    def __init__(self, hall: "Hall", census: "Census") -> None:
        self._hall = hall
        self._census = census
        self.verbs: Mapping[str, Callable[[Answer], Awaitable[Answer]]] = {
            "close_connections": self._close_connections,
            "purge_queue": self._purge_queue,
            "delete_queue": self._delete_queue,
            "pause_queue": self._pause_queue,
            "sync": self._sync,
            "sync_state": self._sync_state,
            "cancel_sync": self._cancel_sync,
        }

    async def _close_connections(self, request: Answer) -> Answer:
        pids, reason = ask_all(request, "pids", str), ask(request, "reason", str)
        delay_ms = ask(request, "delay_ms", int, 0)
        if not 0 <= delay_ms <= DELAY_MS_MAX:
            raise Refused("invalid", f"close_connections: delay_ms is {delay_ms}, not from 0 to {DELAY_MS_MAX}")
        closed = 0
        for pid in pids:
            if closed:
                await trio.sleep(delay_ms / 1000)
            closed += await self._hall.roster.close(pid, reason)
        return {"closed": closed}

    async def _purge_queue(self, request: Answer) -> Answer:
        return {"messages": await queue_of(self._hall, request).purge()}

    async def _delete_queue(self, request: Answer) -> Answer:
        handle = queue_of(self._hall, request)
        if_unused, if_empty = (ask(request, name, bool, False) for name in ("if_unused", "if_empty"))
        return {"messages": await self._hall.declarations.delete(handle, if_unused=if_unused, if_empty=if_empty)}

    async def _pause_queue(self, request: Answer) -> Answer:
        record = queue_of(self._hall, request).record
        return await self._hall.tree.propose(
            {"do": "pause_queue", "id": record.id, "paused": ask(request, "paused", bool)}
        )

    async def _sync(self, request: Answer) -> Answer:
        handle = _mirrored(self._hall, request)
        record = handle.record
        if not record.is_mirrored:
            why = f"queue {record.name} is not mirrored: a policy with ha-mode would do that"
            raise Refused("not_mirrored", why)
        if not await self._hall.synchronise(handle, start=True):
            return {"state": "synchronised"}
        return {"state": "syncing"}

    async def _sync_state(self, request: Answer) -> Answer:
        record = queue_of(self._hall, request).record
        if len(record.in_sync) > len(record.mirrors):
            return {"state": "synchronised"}
        figures = (await self._census.figures([record])).get(record.id)
        if figures is not None and figures["unsettled"]:
            return {"state": "syncing"}
        # The master hears of an entry into the set before this node may have.
        done = figures is not None and not any(figures["missing"].values())
        return {"state": "synchronised" if done else "not_syncing"}

    async def _cancel_sync(self, request: Answer) -> Answer:
        handle = _mirrored(self._hall, request)
        if not handle.record.is_mirrored:
            return {"state": "not_syncing"}
        return {"state": "cancelled" if await self._hall.synchronise(handle, start=False) else "not_syncing"}


def _mirrored(hall: "Hall", request: Answer) -> "Handle":
    """The queue of the request. Raises Refused for one whose copies are nobody's business but its own."""
    handle = queue_of(hall, request)
    if is_quorum(handle.record.arguments):
        why = f"queue {handle.record.name} is a quorum queue: it synchronises its members by itself"
        raise Refused("quorum_queue", why)
    return handle
