"""The time line of the cluster as this node saw it: who was lost, elected, promoted, synchronised.

Decides which committed events become lines, in words for people, and keeps a bounded number of them in the node's
folder. It must not decide anything that the events tell of.
"""

import json
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import trio

from broker.node.configuration import EVENTS_FILE

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.cluster.watches import Change
    from broker.meters.meters import Promotions
    from broker.world.clock import Clock
    from broker.world.disk import Disk

log = logging.getLogger("warren.node")

EVENTS_MAX = 5000

CAUSES = {"failure": "kill", "shutdown": "stop", "absent": "kill", "restart": "kill", "transfer": "operator"}
"""Causes as commands name them; others stand for themselves."""
PROMOTION_FACTS = ("stamp_ms", "from", "to", "cause", "ms", "in_sync", "missing", "kinds")


class Timeline:
    """Events of this node, oldest first."""

    def __init__(
        self,
        node: str,
        clock: "Clock",
        disk: "Disk",
        net_ticktime_s: float,
        promotions: "Promotions | None" = None,
    ) -> None:
        """`promotions`: where those to this node are counted."""
        self._node = node
        self._promotions = promotions
        self._clock = clock
        self._disk = disk
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)
        self._net_ticktime_s = net_ticktime_s
        self._lost_at: dict[str, float] = {}
        self._fresh = trio.Event()
        self._told = 0
        self._zxid = 0

    async def load(self) -> None:
        """Take up what former lives wrote."""
        try:
            written = await self._disk.read(EVENTS_FILE)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("event=timeline_not_read file=%s why=%r", self._disk.path_of(EVENTS_FILE), error.strerror)
            return
        try:
            self._events.extend([json.loads(line) for line in written.splitlines()])
        except ValueError as error:
            log.warning("event=timeline_not_read file=%s why=%r", self._disk.path_of(EVENTS_FILE), str(error))

    def follow(self, tree: "Tree") -> None:
        """Write down every event that is committed from now on."""
        from broker.cluster.watches import EVENTS

        tree.watches.add(EVENTS, lambda change: self._committed(tree.zxid, change))

    def peer_lost(self, node: str) -> None:
        """The link to a node broke: promotions after its death are counted from here."""
        self._lost_at[node] = trio.current_time()

    def peer_found(self, node: str) -> None:
        """There is a link to it again."""
        self._lost_at.pop(node, None)

    def tell(self, kind: str, text: str, **facts: Any) -> None:
        """Something that only this node knows."""
        self._told += 1
        identity = f"{self._node}/{self._clock.stamp_ms()}/{self._told}"
        self._append({"id": identity, "kind": kind, "text": text, **facts})

    def since(self, after_ms: int) -> list[dict[str, Any]]:
        """Events with a later stamp."""
        return [event for event in self._events if event["stamp_ms"] > after_ms]

    def last_promotions(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By virtual host and name of a queue how it got its last master, with that master's `term` as people count."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for event in self._events:
            if event["kind"] == "promotion":
                facts = {name: event.get(name) for name in PROMOTION_FACTS}
                found[event["vhost"], event["queue"]] = {**facts, "term": event.get("term_count")}
        return found

    async def run(self) -> None:
        """Keep the file in step, until cancelled."""
        while True:
            await self._fresh.wait()
            self._fresh = trio.Event()
            lines = [json.dumps(event, separators=(",", ":")).encode() for event in self._events]
            try:
                await self._disk.replace(EVENTS_FILE, b"\n".join(lines) + b"\n")
            except OSError as error:  # nothing depends on it: commands are answered from memory
                log.warning(
                    "event=timeline_not_written file=%s why=%r", self._disk.path_of(EVENTS_FILE), error.strerror
                )
            await trio.sleep(0.5)  # many events at once are one write

    def _committed(self, zxid: int, change: "Change") -> None:
        if change.new is None:
            return
        facts: dict[str, Any] = json.loads(change.new)
        self._told = self._told + 1 if zxid == self._zxid else 1
        self._zxid = zxid
        if "id" in facts:
            facts["queue_id"] = facts.pop("id")  # an event has an id of its own
        if "cause" in facts:
            facts["cause"] = CAUSES.get(facts["cause"], facts["cause"])
        if facts["kind"] == "promotion":
            lost_at = self._lost_at.get(facts["from"])
            if lost_at is not None:
                facts["ms"] = round((trio.current_time() - lost_at) * 1000)
            elif facts["cause"] == "kill":  # nobody saw it die: it was given up
                facts.update(cause="silence", ms=round(self._net_ticktime_s * 1000))
            else:
                facts["ms"] = 0
            facts.setdefault("missing", 0)
            if self._promotions is not None and facts["from"] != facts["to"] == self._node:
                self._promotions.promoted(facts["cause"], facts["ms"] / 1000, facts["missing"] or 0)
        self._append({"id": f"{zxid:x}/{self._told}", "text": _text(facts), **facts})

    def _append(self, event: dict[str, Any]) -> None:
        self._events.append({"stamp_ms": self._clock.stamp_ms(), "node": self._node, **event})
        self._fresh.set()


def _text(facts: dict[str, Any]) -> str:
    """One line for people."""
    queue = facts.get("queue")
    match facts["kind"]:
        case "promotion":
            missing = ""
            if facts["missing"]:
                missing = f", {facts['missing']} messages missing"
            elif facts["missing"] is None and facts.get("kinds"):
                missing = f", {' and '.join(facts['kinds'])} messages may be missing"
            where = f"{facts['to']} promoted in place of {facts['from']}"
            return f"queue {queue}: {where} after {facts['ms']} ms ({facts['cause']}){missing}"
        case "waiting":
            return f"queue {queue}: without a master, {facts.get('reason', '')}"
        case "life":
            why = f" ({facts['why']})" if facts.get("why") else ""
            return f"node {facts['node']}: life {facts['life']} {facts['change']}{why}"
        case "sync":
            why = f": {facts['why']}" if facts.get("why") else ""
            return f"queue {queue}: mirror on {facts['node']} {facts['change']} the in-sync set{why}"
        case "pause":
            return f"queue {queue}: {facts['change']} by an operator"
        case "maintenance":
            return f"node {facts['node']} is {facts['change']}"
        case "policy":
            return f"policy {facts['name']} {facts['change']}"
        case "cluster":
            return f"cluster {facts.get('name', '')} {facts['change']}"
    rest = " ".join(f"{name}={value}" for name, value in facts.items() if name != "kind")
    return f"{facts['kind']} {rest}"
