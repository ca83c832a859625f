"""Recovery files of all nodes, for commands: listed, shown, replayed, dropped.

Decides that any node answers for all, and that a message that is back in its queue is struck off wherever it was kept.
It must not know how a file looks nor how a message is published.
"""

from typing import TYPE_CHECKING, Any

import trio

from broker.cluster import schema
from broker.cluster.asked import ask
from broker.cluster.refusal import Refused
from broker.node import recovery_line
from broker.node.recovery_line import NotALine
from broker.node.replay import replay
from broker.vhosts.switchboard import PeerLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from broker.node.set_aside import SetAside
    from broker.node.timeline import Timeline
    from broker.vhosts.hall import Hall
    from broker.vhosts.switchboard import Answer as CallAnswer

Answer = dict[str, Any]

CALL = "recovered"
PORTION_MESSAGES = 500
PORTION_BYTES = 4 * 1024 * 1024
"""What one call between nodes carries or carries out."""


class Recoveries:
    """The verbs of one life of a node."""

    def __init__(self, hall: "Hall", set_aside: "SetAside", timeline: "Timeline") -> None:
        self._hall = hall
        self._set_aside = set_aside
        self._timeline = timeline
        self._one_at_a_time = trio.Lock()
        """Who changes a file: two would publish the same messages, or write back what the other has struck off."""
        self.verbs: Mapping[str, Callable[[Answer], Awaitable[Answer]]] = {
            "recovered_list": self._list,
            "recovered_show": self._show,
            "recovered_replay": self._replay,
            "recovered_drop": self._drop,
        }
        self._local: Mapping[str, Callable[[Answer], Awaitable[Answer]]] = {
            "list": self._list_here,
            "show": self._show_here,
            "replay": self._replay_here,
            "drop": self._drop_here,
            "strike": self._strike_here,
        }
        hall.switchboard.answer(CALL, self._serve)

    # ------------------------------------------------------------------ for all nodes

    async def _list(self, request: Answer) -> Answer:
        rows, silent = await self._rows()
        return {"files": rows, "silent": silent}

    async def _show(self, request: Answer) -> Answer:
        file, after, count = ask(request, "file", str), ask(request, "after", int, 0), ask(request, "count", int, 10)
        return await self._ask_owner(file, {"verb": "show", "after": max(after, 0), "count": max(count, 0)})

    async def _drop(self, request: Answer) -> Answer:
        return await self._ask_owner(ask(request, "file", str), {"verb": "drop"})

    async def _replay(self, request: Answer) -> Answer:
        """Portion by portion: what is back is struck off before the next one goes out."""
        file, queue = ask(request, "file", str), ask(request, "queue", str, None)
        if queue is not None:
            self._check_queue((await self._find(file))["vhost"], queue)
        confirmed = kept = 0
        why: dict[str, int] = {}
        silent: set[str] = set()
        while True:
            answer = await self._ask_owner(file, {"verb": "replay", "queue": queue, "skip": kept})
            confirmed, kept = confirmed + answer["confirmed"], kept + answer["kept"]
            for reason, messages in answer["why"].items():
                why[reason] = why.get(reason, 0) + messages
            silent |= await self._strike([tuple(place) for place in answer["places"]])
            if not answer["more"]:
                return {"confirmed": confirmed, "kept": kept, "why": why, "silent": sorted(silent)}

    async def _strike(self, places: list[tuple[int, ...]]) -> set[str]:
        """Other copies of the same queue may have kept the same messages, and one that was killed before it was cut has
        kept them twice. Returns the members that were not told."""
        silent = set(schema.members(self._hall.tree.tree)) if places else set()
        for node in silent & set(self._nodes()):
            answer = await self._ask(node, {"verb": "strike", "places": places})
            if answer is not None and "error" not in answer:
                silent.discard(node)
        return silent

    async def _rows(self) -> tuple[list[Answer], list[str]]:
        rows: list[Answer] = []
        members = schema.members(self._hall.tree.tree)
        silent = [name for name in members if name not in self._nodes()]

        async def collect(node: str) -> None:
            answer = await self._ask(node, {"verb": "list"})
            if answer is None or "error" in answer:
                silent.append(node)
            else:
                rows.extend(answer["files"])

        async with trio.open_nursery() as nursery:
            for node in self._nodes():
                nursery.start_soon(collect, node)
        return sorted(rows, key=lambda row: (row["stamp_ms"], row["node"], row["file"])), sorted(silent)

    def _check_queue(self, vhost: str, queue: str) -> None:
        found = self._hall.catalogue.vhosts.get(vhost)
        if found is None or queue not in found.handles:
            raise Refused("not_found", f"no queue '{queue}' in vhost '{vhost}'")

    async def _find(self, given: str) -> Answer:
        """Raises Refused for a file that nobody has; `given` may be a whole path, as events name it."""
        file = given.rpartition("/")[2]
        rows, silent = await self._rows()
        for row in rows:
            if row["file"] == file:
                return row
        unheard = f" (not asked: {', '.join(silent)})" if silent else ""
        raise Refused("not_found", f"no node has a recovery file {file}{unheard}")

    async def _ask_owner(self, given: str, fields: Answer) -> Answer:
        row = await self._find(given)
        owner: str = row["node"]
        answer = await self._ask(owner, {**fields, "file": row["file"]})
        if answer is None:
            raise PeerLost(owner)
        if "error" in answer:
            raise Refused("invalid", f"{owner}: {answer['error']}")
        return answer

    async def _ask(self, node: str, fields: Answer) -> Answer | None:
        if node == self._hall.life.node:
            return await self._answer(fields)
        try:
            answer, _ = await self._hall.switchboard.call(node, {**fields, "do": CALL})
        except PeerLost:
            return None
        return answer

    def _nodes(self) -> list[str]:
        members = schema.members(self._hall.tree.tree)
        return [name for name, record in members.items() if record.running]

    # ------------------------------------------------------------------ for this node

    async def _serve(self, peer: str, fields: Answer) -> "CallAnswer":
        return await self._answer(fields), b""

    async def _answer(self, fields: Answer) -> Answer:
        try:
            return await self._local[fields["verb"]](fields)
        except FileNotFoundError:
            return {"error": f"there is no recovery file {fields['file']} any more"}
        except NotALine as error:
            return {"error": f"{fields['file']} is no recovery file: {error}"}
        except OSError as error:
            return {"error": str(error)}

    async def _list_here(self, fields: Answer) -> Answer:
        return {"files": await self._set_aside.files()}

    async def _show_here(self, fields: Answer) -> Answer:
        everything = await self._set_aside.read(fields["file"])
        wanted = everything[fields["after"] :][: min(fields["count"], PORTION_MESSAGES)]
        messages = wanted[: _portion(wanted)]
        return {"messages": messages, "remaining": len(everything) - fields["after"] - len(messages)}

    async def _drop_here(self, fields: Answer) -> Answer:
        async with self._one_at_a_time:
            messages = await self._set_aside.drop(fields["file"])
        self._timeline.tell("recovered", f"{messages} messages of {fields['file']} were dropped by an operator")
        return {"messages": messages}

    async def _strike_here(self, fields: Answer) -> Answer:
        async with self._one_at_a_time:
            await self._set_aside.strike({(queue_id, term, at) for queue_id, term, at in fields["places"]})
        return {}

    async def _replay_here(self, fields: Answer) -> Answer:
        """`skip`: so many at the beginning did not go the last time."""
        async with self._one_at_a_time:
            return await self._replay_portion(fields["file"], fields["skip"], fields["queue"])

    async def _replay_portion(self, file: str, skip: int, queue: str | None) -> Answer:
        everything = await self._set_aside.read(file)
        count = _portion(everything[skip:][:PORTION_MESSAGES])
        portion = everything[skip : skip + count]
        failed = await replay(self._hall, portion, queue)
        kept = [portion[index] for index in sorted(failed)]
        back = [message for index, message in enumerate(portion) if index not in failed]
        if back:
            await self._set_aside.rewrite(file, [*everything[:skip], *kept, *everything[skip + count :]])
            self._timeline.tell("recovered", f"{len(back)} messages of {file} were published again")
        reasons = list(failed.values())
        return {
            "confirmed": len(back),
            "kept": len(kept),
            "why": {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)},
            "places": [recovery_line.place(message) for message in back],
            "more": skip + count < len(everything),
        }


def _portion(messages: list[Answer]) -> int:
    """How many of them go into one call, at least one."""
    size_bytes = 0
    for count, message in enumerate(messages):
        if size_bytes > PORTION_BYTES:
            return count
        size_bytes += len(message["body"])
    return len(messages)
