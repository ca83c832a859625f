"""The drill's hand on a cluster: what it sees of it, and the faults it brings about.

Decides whom to ask (each node at its link address, the supervisor at its port in run.json) and which node's word
counts. It must not know which fault comes next nor how messages are judged. Like any command it only holds the cookie.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio

from broker.node.certificates import contexts_of
from broker.node.configuration import Cluster
from broker.peers.admin import NoAnswer, ask_once
from broker.perf.faults import Scene
from broker.perf.finding import dialled, running
from broker.world.network import Network, TcpNetwork

LOOK_TIMEOUT_S = 1.5
ACT_TIMEOUT_S = 30.0
BETWEEN_LIVES_S = 5.0


class Helpless(Exception):
    """The cluster cannot be asked or cannot be hurt; the text says why."""


@dataclass(frozen=True)
class Picture:
    """The nodes' answers to one `status`; a silent node is missing."""

    nodes: Mapping[str, Mapping[str, Any]]

    @property
    def running(self) -> tuple[str, ...]:
        """The nodes that serve clients."""
        return tuple(sorted(name for name, answer in self.nodes.items() if answer.get("state") == "running"))

    @property
    def leader(self) -> str | None:
        """Who leads the metadata; of two who say so, the one with the higher epoch."""
        leaders = [
            (answer.get("epoch") or 0, name) for name, answer in self.nodes.items() if answer["role"] == "leader"
        ]
        return max(leaders)[1] if leaders else None

    def queues(self, prefix: str) -> dict[str, Mapping[str, Any]]:
        """Rows of the queues whose names begin so: as the master tells it, else as the newest epoch does."""
        rows: dict[str, tuple[tuple[bool, int], Mapping[str, Any]]] = {}
        for name, answer in sorted(self.nodes.items()):
            for row in answer.get("queues", ()):
                if row["name"].startswith(prefix):
                    weight = (row["master"] == name, answer.get("epoch") or 0)
                    if row["name"] not in rows or weight > rows[row["name"]][0]:
                        rows[row["name"]] = (weight, row)
        return {name: row for name, (_, row) in sorted(rows.items())}

    def scene(self, prefix: str) -> Scene:
        """What the deck deals against."""
        masters = {name: row["master"] for name, row in self.queues(prefix).items() if row["master"] in self.running}
        return Scene(self.running, self.leader, masters)

    def unsettled(self, names: tuple[str, ...], prefix: str) -> str | None:
        """What is missing until every node runs and every queue with the prefix has all its copies in sync."""
        for name in names:
            answer = self.nodes.get(name, {"state": "silent"})
            if answer["state"] != "running":
                return f"{name} is {answer['state']}" + (f": {answer['reason']}" if answer.get("reason") else "")
        if self.leader is None:
            return "nobody leads the metadata"
        if len({answer.get("epoch") for answer in self.nodes.values()}) > 1:
            return "not all nodes follow one leader"
        for name, row in self.queues(prefix).items():
            if row["state"] != "running":
                return f"{name} is {row['state']}" + (f": {row['reason']}" if row.get("reason") else "")
            in_sync = row["in_sync"] or []
            if len(in_sync) < len(names) - 1:
                return f"{name} on {row['master']} has {len(in_sync)} of {len(names) - 1} mirrors in sync"
        return None


class Control:
    """One cluster that `warren up` started here."""

    def __init__(self, cluster: Cluster, network: Network | None = None) -> None:
        self._cluster = cluster
        self._network = network or TcpNetwork()
        contexts = contexts_of(cluster.tls)
        self._dialler = None if contexts is None else contexts.dialler
        run = running(cluster)
        if run is None:
            raise Helpless(f"no cluster was started here with `warren up` ({cluster.run_folder} has no run.json)")
        self._supervisor = f"127.0.0.1:{run['supervisor']['port']}"
        self._links = {name: dialled(node["link"]) for name, node in run["nodes"].items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Every node of the cluster."""
        return tuple(self._links)

    async def has_supervisor(self) -> bool:
        """Whether the one who started the cluster still answers."""
        try:
            await self._must(self._supervisor, {"do": "processes"})
        except Helpless:
            return False
        return True

    async def look(self) -> Picture:
        """What the nodes say now."""
        answers: dict[str, dict[str, Any]] = {}

        async def ask(name: str) -> None:
            try:
                answer = await self._ask(self._links[name], {"do": "status"}, LOOK_TIMEOUT_S)
                if "error" not in answer:
                    answers[name] = answer
            except Helpless:
                pass

        async with trio.open_nursery() as nursery:
            for name in self.names:
                nursery.start_soon(ask, name)
        return Picture(answers)

    async def act(self, verb: str, node: str) -> None:
        """kill, start, freeze or thaw the process of a node. Returns when it is done; a started node is ready then."""
        await self._must(self._supervisor, {"do": verb, "node": node})

    async def cut(self, node: str, *, way: str = "both", other: str = "") -> None:
        """Cut a node from all others, or from one; `way` as in `Step`."""
        back = {"out": "in", "in": "out"}.get(way, way)
        others = [other] if other else [name for name in self.names if name != node]
        blocks = {node: dict.fromkeys(others, way), **{each: {node: back} for each in others}}
        # The supervisor remembers it for nodes that begin a new life meanwhile.
        await self._must(self._supervisor, {"do": "block", "blocks": blocks})
        async with trio.open_nursery() as nursery:
            for name, peers in blocks.items():
                nursery.start_soon(self._tell, name, {"do": "block", "peers": peers})

    async def heal(self) -> None:
        """Mend every cut."""
        await self._must(self._supervisor, {"do": "unblock"})
        async with trio.open_nursery() as nursery:
            for name in self.names:
                nursery.start_soon(self._tell, name, {"do": "unblock"})

    async def ask_any(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer of some node that runs, for the whole cluster."""
        for name in (await self.look()).running:
            return await self._must(self._links[name], request)
        raise Helpless("no node serves")

    async def events(self, after_ms: int) -> list[dict[str, Any]]:
        """The time line since then, of every node that answers, each event once."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for name in self.names:
            try:
                answer = await self._ask(self._links[name], {"do": "events", "after_ms": after_ms}, LOOK_TIMEOUT_S)
            except Helpless:
                continue
            for event in answer.get("events", ()):
                found.setdefault((str(event["id"]), event["text"]), event)
        return sorted(found.values(), key=lambda event: (event["stamp_ms"], str(event["id"])))

    async def _tell(self, node: str, request: dict[str, Any]) -> None:
        """Ask a node, again if it is between two lives."""
        deadline = trio.current_time() + BETWEEN_LIVES_S
        while True:
            try:
                await self._must(self._links[node], request)
                return
            except Helpless:
                if trio.current_time() > deadline:
                    raise
            await trio.sleep(0.05)

    async def _must(self, address: str, request: dict[str, Any]) -> dict[str, Any]:
        answer = await self._ask(address, request, ACT_TIMEOUT_S)
        if "error" in answer:
            raise Helpless(f"{request['do']} {request.get('node', '')}: {answer['error']}".replace(" :", ":"))
        return answer

    async def _ask(self, address: str, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        name, cookie = self._cluster.name, self._cluster.cookie
        tls = None if address == self._supervisor else self._dialler  # the supervisor's own port is plain
        try:
            return await ask_once(
                self._network, address, request, cluster=name, cookie=cookie, timeout_s=timeout_s, tls=tls
            )
        except NoAnswer as reason:
            raise Helpless(f"{address}: {reason}") from None
