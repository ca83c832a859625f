"""Where the masters of queues are, at an operator's word: moved, spread over the nodes, taken off a node.

Decides in which steps that is done, and what is waited for: a master moves only to a mirror that holds everything, and
is filled first if it does not. It must not know the command line, nor who may be promoted (the procedures refuse).
Source: RabbitMQ 3.10, `rabbitmq-queues rebalance`, `rabbitmq-upgrade drain`.
"""

import re
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from broker.cluster import schema
from broker.cluster.asked import ask
from broker.cluster.records import RUNNING, QueueRecord
from broker.cluster.refusal import Refused
from broker.node.naming import queue_of
from broker.vhosts.switchboard import PeerLost
from broker.vhosts.upkeep import held_by
from policies.balance import Placed, next_move
from policies.patterns import PatternInvalid, compile_pattern, matches
from policies.placement import node_name
from policies.quorum import is_quorum

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from broker.cluster.watches import Change
    from broker.management.census import Census
    from broker.vhosts.hall import Hall

Answer = dict[str, Any]

KINDS = ("all", "classic", "quorum")
FILL_TIMEOUT_S = 300.0
"""So long a move waits for a mirror to be filled."""
ASK_AGAIN_S = 0.05
"""A master that has nothing to fill, or is gone, may be another one soon."""
FAREWELL_S = 5.0
"""So long the clients of a drained node are waited for."""


class Meant(NamedTuple):
    """Which queues are to be spread."""

    kind: str
    vhosts: re.Pattern[bytes]
    names: re.Pattern[bytes]

    def has(self, record: QueueRecord) -> bool:
        """Whether this one is: only queues with copies are."""
        kind = "quorum" if is_quorum(record.arguments) else "classic"
        return (
            record.is_mirrored
            and self.kind in ("all", kind)
            and matches(self.vhosts, record.vhost)
            and matches(self.names, record.name)
        )


class Masters:
    """The verbs of one life of a node."""

    def __init__(self, hall: "Hall", census: "Census") -> None:
        self._hall = hall
        self._census = census
        self._spreading = False
        self.verbs: Mapping[str, Callable[[Answer], Awaitable[Answer]]] = {
            "promote": self._promote,
            "transfer": self._transfer,
            "rebalance": self._rebalance,
            "drain": self._drain,
            "revive": self._revive,
        }

    # ------------------------------------------------------------------ one queue

    async def _promote(self, request: Answer) -> Answer:
        """A queue that waits gets this master, whatever it lacks; one that runs loses nothing by it."""
        record, node = queue_of(self._hall, request).record, node_name(ask(request, "node", str))
        if record.state == RUNNING:
            return await self._transfer(request)
        held, missing = await held_by(self._hall, record.id, node)
        asked = {"do": "promote", "id": record.id, "node": node, "held": held, "missing": missing}
        answer = await self._hall.tree.propose(asked)
        return {"from": record.master.node, "to": answer["master"][0], "missing": answer["missing"]}

    async def _transfer(self, request: Answer) -> Answer:
        record, node = queue_of(self._hall, request).record, node_name(ask(request, "node", str))
        await self._move(record.id, node)
        return {"from": record.master.node, "to": node, "missing": 0}

    async def _move(self, queue_id: int, node: str) -> None:
        """Make the mirror on this node the master, once it holds everything. Raises Refused."""
        record = self._record(queue_id)
        if node != record.master.node:
            await self._fill(record, node)
        await self._hall.tree.propose({"do": "transfer", "id": queue_id, "node": node})

    async def _fill(self, record: QueueRecord, node: str) -> None:
        if all(life.node != node for life in record.mirrors):
            copies = ", ".join(life.node for life in (record.master, *record.mirrors))
            raise Refused("not_found", f"{node} has no mirror of queue '{record.name}': its copies are on {copies}")
        handle = self._hall.catalogue.handles[record.id]
        news = trio.Event()

        def ring(_: "Change") -> None:
            nonlocal news
            news.set()
            news = trio.Event()

        path = schema.queue_path(record.vhost, record.name)
        watch = self._hall.tree.tree.watches.add(path, ring)
        try:
            with trio.move_on_after(FILL_TIMEOUT_S):
                while not any(life.node == node for life in record.in_sync):
                    bell = news
                    is_being_filled = False
                    with suppress(PeerLost):  # asked again after each change: another master, or mirror, may have come
                        is_being_filled = await self._hall.synchronise(handle, start=True)
                    with trio.move_on_after(inf if is_being_filled else ASK_AGAIN_S):
                        await bell.wait()
                    record = self._record(record.id)
                return
        finally:
            watch.cancel()
        raise Refused("unsynchronised", f"the mirror of queue '{record.name}' on {node} was not filled in time")

    def _record(self, queue_id: int) -> QueueRecord:
        record = schema.queue_by_id(self._hall.tree.tree, queue_id)
        if record is None:
            raise Refused("not_found", "the queue is gone")
        if record.state != RUNNING:
            raise Refused("unavailable", f"queue '{record.name}' has no master: {record.reason}")
        return record

    # ------------------------------------------------------------------ all queues

    async def _rebalance(self, request: Answer) -> Answer:
        meant = _meant(request)
        if self._spreading:
            raise Refused("rebalance_in_progress", "rebalance_in_progress")
        me = {"node": self._hall.life.node, "life": self._hall.life.number}
        self._spreading = True
        try:
            await self._hall.tree.propose({"do": "begin_rebalance", **me})
            try:
                return await self._spread(meant)
            finally:
                with trio.CancelScope(shield=True), trio.move_on_after(FAREWELL_S):
                    await self._hall.tree.propose({"do": "end_rebalance", **me})
        finally:
            self._spreading = False

    async def _spread(self, meant: Meant) -> Answer:
        figures = await self._census.figures(self._queues(meant))
        moved: list[Answer] = []
        failed: dict[int, Answer] = {}
        while True:
            records = {record.id: record for record in self._queues(meant)}
            placed = [_placed(record, figures.get(record.id, {}).get("messages", 0)) for record in records.values()]
            move = next_move(placed, self._nodes(), failed)
            if move is None:
                return {"rows": _counted(list(records.values())), "moved": moved, "failed": list(failed.values())}
            record = records[move.id]
            told = {"vhost": record.vhost, "queue": record.name, "from": record.master.node, "to": move.node}
            try:
                await self._move(move.id, move.node)
            except Refused as refused:
                failed[move.id] = {**told, "why": refused.why}
            else:
                moved.append(told)

    def _queues(self, meant: Meant) -> list[QueueRecord]:
        tree = self._hall.tree.tree
        found = [record for vhost in schema.vhosts(tree) for record in schema.queues(tree, vhost.name)]
        return [record for record in found if record.state == RUNNING and meant.has(record)]

    def _nodes(self) -> list[str]:
        """Who may have masters."""
        members = schema.members(self._hall.tree.tree)
        return [name for name, record in members.items() if record.running and not record.drained]

    # ------------------------------------------------------------------ all queues of a node

    async def _drain(self, request: Answer) -> Answer:
        """Answered when its clients have gone; `staying` are the masters for which nobody else holds everything."""
        node = self._node(request)
        answer = await self._hall.tree.propose({"do": "drain_node", "node": node})
        if node == self._hall.life.node:
            with trio.move_on_after(FAREWELL_S):
                await self._hall.roster.until_empty()
        left = schema.found(self._hall.tree.tree, QueueRecord, schema.masters_key(node))
        return {"node": node, "changed": answer["changed"], "staying": [record.name for record in left]}

    async def _revive(self, request: Answer) -> Answer:
        node = self._node(request)
        answer = await self._hall.tree.propose({"do": "revive_node", "node": node})
        return {"node": node, "changed": answer["changed"]}

    def _node(self, request: Answer) -> str:
        """The node of the request; this one, if it names none."""
        return node_name(ask(request, "node", str, self._hall.life.node))


def _meant(request: Answer) -> Meant:
    kind = ask(request, "type", str, "all")
    if kind not in KINDS:
        raise Refused("invalid", f"type {kind} is not supported. Try one of {', '.join(KINDS)}.")
    try:
        vhosts, names = (compile_pattern(ask(request, what, str, ".*")) for what in ("vhost_pattern", "queue_pattern"))
    except PatternInvalid as invalid:
        raise Refused("invalid", f"a pattern is no regular expression: {invalid}") from None
    return Meant(kind, vhosts, names)


def _placed(record: QueueRecord, messages: int) -> Placed:
    return Placed(record.id, record.master.node, [life.node for life in record.mirrors], messages)


def _counted(records: "Sequence[QueueRecord]") -> list[Answer]:
    """How many masters of which type each node has now."""
    rows: dict[str, Answer] = {}
    for record in records:
        row = rows.setdefault(record.master.node, {"node": record.master.node, "quorum": 0, "classic": 0})
        row["quorum" if is_quorum(record.arguments) else "classic"] += 1
    return [rows[node] for node in sorted(rows)]
