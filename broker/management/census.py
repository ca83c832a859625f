"""What only a node itself knows, asked of every node: facts of its process, and figures of the queues it is master of.

Decides how long a node may take to answer, and how much is asked at a time: one call for many queues, so that looking
at a cluster costs it little. Unlike passive declarations, looking is no use of a queue (x-expires goes on). It must not
know HTTP.
"""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import trio

from broker.cluster import schema
from broker.cluster.records import RUNNING, QueueRecord
from broker.management.depths import Sounding
from broker.vhosts.switchboard import Answer, PeerLost

if TYPE_CHECKING:
    from broker.vhosts.hall import Hall

DEADLINE_S = 1.0
"""A node that has not answered by then is shown as not running."""
QUEUES_PER_CALL = 500
"""Bounds how long a call keeps the asked node from its messages."""

Figures = dict[str, Any]


class Facts(Protocol):
    """What a node says of its own process."""

    def status(self, *, queues: bool) -> dict[str, Any]:
        """Its state, pid, role, epoch, addresses (`amqp`, `http`, `link`), `uptime_s`, `memory_bytes`, `cut_from`,
        `parted_from`."""


class Census:
    """One per life of a node; it answers others from the moment it is made."""

    def __init__(self, hall: "Hall", facts: Facts) -> None:
        self.node = hall.life.node
        self._hall = hall
        self._facts = facts
        hall.switchboard.answer("census", self._serve)

    def here(self) -> Figures:
        """This node's own facts; `alarms` names the resources that run short."""
        alarms = self._hall.alarms
        found = {"processors": os.cpu_count(), "alarms": alarms.look(), **alarms.figures()}
        return {**self._facts.status(queues=False), **found}

    async def nodes(self) -> dict[str, Figures | None]:
        """Every member's facts; None where nobody answers."""
        members = schema.members(self._hall.tree.tree)
        answers: dict[str, Figures | None] = dict.fromkeys(members)

        async def ask(node: str) -> None:
            answer = await self._ask(node, [])
            answers[node] = None if answer is None else answer["facts"]

        async with trio.open_nursery() as nursery:
            for name, record in members.items():
                if record.running:
                    nursery.start_soon(ask, name)
        return answers

    async def figures(self, records: Iterable[QueueRecord]) -> dict[int, Figures]:
        """What the masters of these queues count, by queue id; a queue without an answering master is missing."""
        found, _ = await self.count(records)
        return found

    async def count(self, records: Iterable[QueueRecord]) -> tuple[dict[int, Figures], set[str]]:
        """The same, and the nodes that have not answered in time."""
        by_master: dict[str, list[int]] = {}
        for record in records:
            if record.state == RUNNING:
                by_master.setdefault(record.master.node, []).append(record.id)
        found: dict[int, Figures] = {}
        silent: set[str] = set()

        async def ask(node: str, ids: list[int]) -> None:
            for start in range(0, len(ids), QUEUES_PER_CALL):
                answer = await self._ask(node, ids[start : start + QUEUES_PER_CALL])
                if answer is None:
                    silent.add(node)
                    return
                found.update(answer["figures"])

        async with trio.open_nursery() as nursery:
            for node, ids in by_master.items():
                nursery.start_soon(ask, node, ids)
        return found, silent

    async def _ask(self, node: str, queues: Sequence[int]) -> Figures | None:
        if node == self.node:
            await trio.lowlevel.checkpoint()
            return self._answer(queues)
        with trio.move_on_after(DEADLINE_S):
            try:
                answer, _ = await self._hall.switchboard.call(node, {"do": "census", "queues": list(queues)})
            except PeerLost:
                return None
            return answer
        return None

    def _answer(self, queues: Sequence[int]) -> Figures:
        if not queues:
            return {"facts": self.here()}
        locals_, sounding = self._hall.guests.locals, Sounding()
        figures = []
        for number in queues:
            local = locals_.get(number)
            if local is not None:
                depth = sounding.take(local.queue, durable=local.master.copy.durable)
                figures.append((number, {**local.statistics(), **depth}))
        return {"figures": figures}

    async def _serve(self, peer: str, fields: dict[str, Any]) -> Answer:
        return self._answer(fields["queues"]), b""
