"""The queues of which there is most, of all nodes, with how fast they move: for whoever looks every other second.

Decides that each node ranks its own masters and tells the first few only, so that ten thousand queues cost a look at
their counters and no more. A rate is what a counter has gained since a look before, whoever took that. It must not know
how the rows are shown.
"""

from collections import deque
from collections.abc import Callable
from heapq import nlargest, nsmallest
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import trio

from broker.cluster import schema
from broker.cluster.asked import ask
from broker.cluster.records import QueueRecord
from broker.cluster.refusal import Refused
from broker.node.queue_rows import row_of
from broker.vhosts.switchboard import PeerLost

if TYPE_CHECKING:
    from broker.vhosts.hall import Hall
    from broker.vhosts.local import Local
    from broker.vhosts.switchboard import Answer as CallAnswer

Answer = dict[str, Any]

CALL: Final = "ranking"
DEADLINE_S = 1.0
"""A node that has not answered by then is left out, and named."""
ROWS_MAX = 500
WAITING_MAX = 20
"""So many queues without a master are shown: they have nothing to be ranked by."""
STEP_QUEUES = 500
"""What takes about 2 ms."""
LOOK_S = 0.5
"""Looks that are closer together say too little of a rate."""
STALE_S = 30.0
"""And what lies further back says nothing of now."""


Pace = tuple[int, int]
"""How many messages a queue has taken and given since it came here."""


class Looks:
    """The counters of this node's masters when somebody looked before."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, dict[int, Pace]]] = deque(maxlen=2)

    def since(self, now: float) -> tuple[float, dict[int, Pace]] | None:
        """The last look that is good for a rate: how long ago it was, and what it found."""
        for then, found in reversed(self._looks):
            if LOOK_S <= now - then <= STALE_S:
                return now - then, found
        return None

    def note(self, now: float, found: dict[int, Pace]) -> None:
        """So it is now."""
        if not self._looks or now - self._looks[-1][0] >= LOOK_S:
            self._looks.append((now, found))


Key = Callable[[int, int, int, int], int]

SORTS: Final[dict[str, Key | None]] = {
    "messages": lambda ready, unacked, taken, given: ready + unacked,
    "ready": lambda ready, unacked, taken, given: ready,
    "unacked": lambda ready, unacked, taken, given: unacked,
    "in": lambda ready, unacked, taken, given: taken,
    "out": lambda ready, unacked, taken, given: given,
    "name": None,
}
"""By what: how many are ready, unacknowledged, were taken and given since the last look; or by the name."""
_FIELDS: Final = {"messages": "messages", "ready": "messages_ready", "unacked": "messages_unacknowledged",
                  "in": "in_rate", "out": "out_rate"}  # fmt: skip


class Ranking:
    """One per life of a node; it answers others from the moment it is made."""

    def __init__(self, hall: "Hall") -> None:
        self._hall = hall
        self._looks = Looks()
        hall.switchboard.answer(CALL, self._serve)

    async def answer(self, request: Answer) -> Answer:
        """The first few queues of all, what all have together by node, and who did not answer. Raises Refused."""
        sort, limit = ask(request, "sort", str, "messages"), ask(request, "limit", int, 20)
        if sort not in SORTS:
            raise Refused("invalid", f"top: sort is {sort!r}, not one of {', '.join(SORTS)}")
        if limit < 0:
            raise Refused("invalid", f"top: limit is {limit}: less than nothing")
        asked: Answer = {"sort": sort, "limit": min(limit, ROWS_MAX), "filter": ask(request, "filter", str, "")}
        nodes: Answer = {}
        rows: list[Answer] = []

        async def collect(node: str) -> None:
            answer = await self._ask(node, asked)
            nodes[node] = None if answer is None else answer["totals"]
            rows.extend([] if answer is None else answer["rows"])

        members = schema.members(self._hall.tree.tree)
        async with trio.open_nursery() as nursery:
            for name, member in members.items():
                if member.running:
                    nursery.start_soon(collect, name)
        waiting, waiting_count = self._waiting(asked["filter"])
        rows.sort(key=lambda row: (row["name"], row["vhost"]))
        if sort != "name":
            rows.sort(key=lambda row: row[_FIELDS[sort]] or 0, reverse=True)
        return {
            "rows": rows[: asked["limit"]],
            "waiting": waiting,
            "waiting_count": waiting_count,
            "nodes": {name: nodes[name] for name in members if nodes.get(name) is not None},
            "silent": [name for name in members if name in nodes and nodes[name] is None],
        }

    async def _ask(self, node: str, asked: Answer) -> Answer | None:
        if node == self._hall.life.node:
            return await self._ranked(**asked)
        with trio.move_on_after(DEADLINE_S):
            try:
                answer, _ = await self._hall.switchboard.call(node, {"do": CALL, "asked": asked})
            except PeerLost:
                return None
            return answer
        return None

    async def _serve(self, peer: str, fields: Answer) -> "CallAnswer":
        return await self._ranked(**fields["asked"]), b""

    def _waiting(self, text: str) -> tuple[list[Answer], int]:
        """Queues that nobody serves: the first of those with this in their names, and how many there are at all."""
        tree = self._hall.tree.tree
        paths = sorted(tree.find(schema.WAITING_QUEUES))
        rows: list[Answer] = []
        for path in paths:
            record = schema.read(tree, QueueRecord, path)
            if record is not None and text in record.name:
                rows.append(row_of(self._hall, record))
            if len(rows) >= WAITING_MAX:
                break
        return rows, len(paths)

    # ------------------------------------------------------------------ this node's masters

    async def _ranked(self, sort: str, limit: int, filter: str) -> Answer:
        """What is looked at of each queue are a few numbers: there may be ten thousand."""
        now, key, handles = trio.current_time(), SORTS[sort], self._hall.catalogue.handles
        before = self._looks.since(now)
        passed_s, then = before or (1.0, {})
        found: list[tuple[Any, QueueRecord, Pace]] = []
        paces: dict[int, Pace] = {}
        queues = messages = all_taken = all_given = 0
        for number, (queue_id, local) in enumerate([*self._hall.guests.locals.items()], 1):
            if number % STEP_QUEUES == 0:
                await trio.lowlevel.checkpoint()
            handle = handles.get(queue_id)
            if handle is None or local.ended or handle.record.delays:
                continue
            queue, (taken, given) = local.queue, _counted(local)
            paces[queue_id] = taken, given
            old_taken, old_given = then.get(queue_id, _NOTHING)  # who was not here then has counted from nothing
            taken, given = max(0, taken - old_taken), max(0, given - old_given)
            ready, unacked = queue.messages_ready, queue.messages_unacked
            queues, messages = queues + 1, messages + ready + unacked
            all_taken, all_given = all_taken + taken, all_given + given
            record = handle.record
            if filter in record.name:
                place = (record.name, record.vhost) if key is None else key(ready, unacked, taken, given)
                found.append((place, record, (taken, given)))
        self._looks.note(now, paces)
        known = before is not None

        def rates(pace: Pace) -> Answer:
            return {name: count / passed_s if known else None for name, count in zip(_RATES, pace, strict=True)}

        first = (nsmallest if key is None else nlargest)(limit, found, key=_place)
        totals = {"queues": queues, "messages": messages, "matching": len(found), **rates((all_taken, all_given))}
        return {"rows": [{**row_of(self._hall, record), **rates(pace)} for _, record, pace in first], "totals": totals}


_NOTHING: Final = (0, 0)
_RATES: Final = ("in_rate", "out_rate")
_place = itemgetter(0)


def _counted(local: "Local") -> Pace:
    counters = local.queue.counters
    given = counters.delivered + counters.delivered_no_ack + counters.got + counters.got_no_ack
    return counters.published, given
