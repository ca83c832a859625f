"""What only a node itself knows, asked of every node: facts of its process, and figures of the queues it is master of.

Decides how long a node may take to answer, and how much is asked at a time: one call for many queues, so that looking
at a cluster costs it little. Unlike passive declarations, looking is no use of a queue (x-expires goes on). It must not
know HTTP.
"""

import os
from collections.abc import Iterable
from operator import add
from typing import TYPE_CHECKING, Any, Protocol

import trio

from broker.cluster import schema
from broker.cluster.records import RUNNING, QueueRecord
from broker.management.depths import Sounding
from broker.management.ledger import Ledger, Sums
from broker.vhosts.switchboard import Answer, PeerLost

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.vhosts.hall import Hall
    from broker.vhosts.local import Local

DEADLINE_S = 1.0
"""A node that has not answered by then is shown as not running."""
QUEUES_PER_CALL = 500
"""Bounds how long a call keeps the asked node from its messages."""
QUEUES_PER_COLUMN = 5000
"""The same where one figure of each is asked for; the asked node has turns in between."""

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
        self.ledger = Ledger(lambda: hall.guests.locals, self._vhost_of)
        hall.switchboard.answer("census", self._serve)

    def _vhost_of(self, queue_id: int) -> str | None:
        handle = self._hall.catalogue.handles.get(queue_id)
        return None if handle is None or handle.delays else handle.record.vhost

    def here(self) -> Figures:
        """This node's own facts; `alarms` names the resources that run short."""
        alarms, presences = self._hall.alarms, self._hall.roster.presences.values()
        found = {"processors": os.cpu_count(), "alarms": alarms.look(), **alarms.figures()}
        found |= {"connections": len(presences), "channels": sum([one.channel_count for one in presences])}
        return {**self._facts.status(queues=False), **found}

    async def nodes(self) -> dict[str, Figures | None]:
        """Every member's facts; None where nobody answers."""
        answers, _ = await self._ask_all({"facts": True})
        return {name: answers[name]["facts"] if name in answers else None for name in schema.members(self._tree)}

    async def figures(self, records: Iterable[QueueRecord]) -> dict[int, Figures]:
        """What the masters of these queues count, by queue id; a queue without an answering master is missing."""
        found, _ = await self.count(records)
        return found

    async def count(self, records: Iterable[QueueRecord]) -> tuple[dict[int, Figures], set[str]]:
        """The same, and the nodes that have not answered in time."""
        return await self._of_masters(records, {}, QUEUES_PER_CALL)

    async def column(self, records: Iterable[QueueRecord], name: str) -> tuple[dict[int, Any], set[str]]:
        """One figure of each queue, however many there are, and the nodes that have not answered in time."""
        return await self._of_masters(records, {"column": name}, QUEUES_PER_COLUMN)

    async def sums(self) -> tuple[Sums, set[str]]:
        """By virtual host what all masters count together, and the nodes that have not answered in time."""
        answers, silent = await self._ask_all({"sums": True})
        sums: Sums = {}
        for answer in answers.values():
            for vhost, values in answer["sums"].items():
                sums[vhost] = list(map(add, sums[vhost], values)) if vhost in sums else values
        return sums, silent

    # ------------------------------------------------------------------ asking

    @property
    def _tree(self) -> "Tree":
        return self._hall.tree.tree

    async def _of_masters(
        self, records: Iterable[QueueRecord], asked: Figures, per_call: int
    ) -> tuple[dict[int, Any], set[str]]:
        by_master: dict[str, list[int]] = {}
        for record in records:
            if record.state == RUNNING:
                by_master.setdefault(record.master.node, []).append(record.id)
        found: dict[int, Any] = {}
        silent: set[str] = set()

        async def ask(node: str, ids: list[int]) -> None:
            for start in range(0, len(ids), per_call):
                answer = await self._ask(node, {**asked, "queues": ids[start : start + per_call]})
                if answer is None:
                    silent.add(node)
                    return
                found.update(answer["figures"])

        async with trio.open_nursery() as nursery:
            for node, ids in by_master.items():
                nursery.start_soon(ask, node, ids)
        return found, silent

    async def _ask_all(self, asked: Figures) -> tuple[dict[str, Figures], set[str]]:
        """The answers of all members that run, by node, and those who have not answered in time."""
        answers: dict[str, Figures] = {}
        running = [name for name, record in schema.members(self._tree).items() if record.running]

        async def ask(node: str) -> None:
            answer = await self._ask(node, asked)
            if answer is not None:
                answers[node] = answer

        async with trio.open_nursery() as nursery:
            for node in running:
                nursery.start_soon(ask, node)
        return answers, {node for node in running if node not in answers}

    async def _ask(self, node: str, asked: Figures) -> Figures | None:
        if node == self.node:
            await trio.lowlevel.checkpoint()
            return await self._answer(asked)
        with trio.move_on_after(DEADLINE_S):
            try:
                answer, _ = await self._hall.switchboard.call(node, {"do": "census", **asked})
            except PeerLost:
                return None
            return answer
        return None

    # ------------------------------------------------------------------ answering

    async def _answer(self, asked: Figures) -> Figures:
        if "facts" in asked:
            return {"facts": self.here()}
        if "sums" in asked:
            return {"sums": await self.ledger.sums()}
        locals_ = self._hall.guests.locals
        there = [(number, local) for number in asked["queues"] if (local := locals_.get(number)) is not None]
        if "column" in asked:
            return {"figures": await self._column(there, asked["column"])}
        sounding = Sounding()
        return {
            "figures": [
                (number, {**local.statistics(), **sounding.take(local.queue, durable=local.master.copy.durable)})
                for number, local in there
            ]
        }

    async def _column(self, there: "list[tuple[int, Local]]", name: str) -> list[tuple[int, Any]]:
        values: list[tuple[int, Any]] = []
        for start in range(0, len(there), QUEUES_PER_CALL):
            await trio.lowlevel.checkpoint()
            for number, local in there[start : start + QUEUES_PER_CALL]:
                values.append((number, local.queue.statistics()[name]))
        return values

    async def _serve(self, peer: str, fields: dict[str, Any]) -> Answer:
        return await self._answer(fields), b""
