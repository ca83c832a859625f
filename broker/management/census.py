"""What only a node itself knows, asked of every node: facts of its process, and figures of the queues it is master of.

Decides how long a node may take to answer, and how much is asked at a time: one call for many queues, so that looking
at a cluster costs it little. Unlike passive declarations, looking is no use of a queue (x-expires goes on). It must not
know HTTP.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from broker.cluster import schema
from broker.cluster.records import RUNNING, QueueRecord
from broker.management.counted import Counted, Instants, together
from broker.management.ledger import QUEUE_FIGURES
from broker.management.testimony import NODE_FIGURES, Column, Facts, Figures, Testimony
from broker.management.tree_records import QueueRecords
from broker.vhosts.switchboard import Answer, PeerLost

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.vhosts.hall import Hall

DEADLINE_S = 1.0
"""A node that has not answered by then is shown as not running."""
QUEUES_PER_CALL = 500
"""Bounds how long a call keeps the asked node from its messages."""
QUEUES_PER_COLUMN = 5000
"""The same where one figure of each is asked for; the asked node has turns in between."""
CLIENTS_PER_CALL = 500

NOW: Instants = {}
"""No curves, only how it is."""


class Told(NamedTuple):
    """What the nodes have told."""

    answers: Mapping[str, Figures]
    """By node."""
    silent: set[str]
    """The nodes that ought to run but have not answered in time."""

    def sums(self, vhosts: Iterable[str]) -> Counted:
        """What the masters in these vhosts count together."""
        wanted = frozenset(vhosts)
        found = [
            Counted(*one) for each in self.answers.values() for name, one in each["sums"].items() if name in wanted
        ]
        return together(found, len(QUEUE_FIGURES))

    def whole(self) -> Counted:
        """What all nodes have done together."""
        return together([Counted(*each["node"]) for each in self.answers.values()], len(NODE_FIGURES))


class Census:
    """One per life of a node; it answers others from the moment it is made."""

    def __init__(self, hall: "Hall", facts: Facts) -> None:
        self.node = hall.life.node
        self.testimony = Testimony(hall, facts)
        self.queues = QueueRecords(lambda: hall.tree.tree)
        self._hall = hall
        hall.switchboard.answer("census", self._serve)

    def here(self) -> Figures:
        """This node's own facts; `alarms` names the resources that run short."""
        return self.testimony.here()

    async def ask(self, *parts: str, instants: Instants = NOW, of: Container[str] | None = None) -> Told:
        """All members that run, or some: the parts of `Testimony.answer` that are named."""
        answers: dict[str, Figures] = {}
        members = schema.members(self._tree)
        running = [name for name, record in members.items() if record.running and (of is None or name in of)]

        async def ask(node: str) -> None:
            answer = await self._ask(node, {**dict.fromkeys(parts, True), "instants": instants})
            if answer is not None:
                answers[node] = answer

        async with trio.open_nursery() as nursery:
            for node in running:
                nursery.start_soon(ask, node)
        return Told(answers, {node for node in running if node not in answers})

    async def nodes(self) -> dict[str, Figures | None]:
        """Every member's facts; None where nobody answers."""
        answers, _ = await self.ask("facts")
        return {name: answers[name]["facts"] if name in answers else None for name in schema.members(self._tree)}

    async def figures(self, records: Iterable[QueueRecord]) -> dict[int, Figures]:
        """What the masters of these queues count, by queue id; a queue without an answering master is missing."""
        found, _ = await self.count(records)
        return found

    async def count(
        self, records: Iterable[QueueRecord], instants: Instants = NOW
    ) -> tuple[dict[int, Figures], set[str]]:
        """The same with its past, and the nodes that have not answered in time."""
        return await self._of_masters(records, {"instants": instants}, QUEUES_PER_CALL)

    async def column(self, records: Iterable[QueueRecord], column: Column) -> tuple[dict[int, Any], set[str]]:
        """One figure of each queue, however many there are, and the nodes that have not answered in time."""
        return await self._of_masters(records, {"column": column}, QUEUES_PER_COLUMN)

    async def clients(
        self, kind: str, keys: Mapping[str, Sequence[str]], instants: Instants = NOW
    ) -> tuple[dict[str, tuple[Counted, int | None]], set[str]]:
        """Of connections or channels, by node, what they have counted, and since when they do nothing."""
        found: dict[str, tuple[Counted, int | None]] = {}
        silent: set[str] = set()

        async def ask(node: str, some: Sequence[str]) -> None:
            answer = await self._ask(node, {"clients": kind, "keys": some, "instants": instants})
            if answer is None:
                silent.add(node)
                return
            for key, counted, idle_since_ms in answer["clients"]:
                found[key] = Counted(*counted), idle_since_ms

        async with trio.open_nursery() as nursery:
            for node, all_of_node in keys.items():
                for start in range(0, len(all_of_node), CLIENTS_PER_CALL):
                    nursery.start_soon(ask, node, all_of_node[start : start + CLIENTS_PER_CALL])
        return found, silent

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
                found.update(answer["queues"])

        async with trio.open_nursery() as nursery:
            for node, ids in by_master.items():
                nursery.start_soon(ask, node, ids)
        return found, silent

    async def _ask(self, node: str, asked: Figures) -> Figures | None:
        if node == self.node:
            await trio.lowlevel.checkpoint()
            return await self.testimony.answer(asked)
        with trio.move_on_after(DEADLINE_S):
            try:
                answer, _ = await self._hall.switchboard.call(node, {"do": "census", **asked})
            except PeerLost:
                return None
            return answer
        return None

    async def _serve(self, peer: str, fields: dict[str, Any]) -> Answer:
        return await self.testimony.answer(fields), b""
