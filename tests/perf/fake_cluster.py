"""Three nodes that share one small broker, on a simulated network: what a drill sees of a cluster, in virtual time.

A queue whose master is gone answers nobody until a majority runs and `takeover_s` has passed (for a silent master:
`silence_s` more). With `takeover_s=None` nobody ever takes over.
"""

from random import Random
from typing import Any

import trio

from broker.perf.client import Target
from broker.perf.control import Picture
from tests.perf.fake_broker import FakeBroker
from tests.simulation.network import SimNetwork

NAMES = ("n1", "n2", "n3")


class FakeCluster:
    """Does what `Control` does, to a cluster that is not there."""

    def __init__(
        self, chance: Random, broker: FakeBroker, *, takeover_s: float | None = 0.05, silence_s: float = 1.0
    ) -> None:
        self.names = NAMES
        self.targets = {name: Target(f"{name}:5672") for name in NAMES}
        self.broker = broker
        self.network = SimNetwork(chance)
        self.masters = broker.declared
        self.leader = "n1"
        self.states = dict.fromkeys(NAMES, "stopped")
        self.asked: list[dict[str, Any]] = []
        self.timeline: list[dict[str, Any]] = []
        self.recovered: list[dict[str, Any]] = []
        self.recovered_messages: list[dict[str, Any]] = []
        self._takeover_s = takeover_s
        self._silence_s = silence_s
        self._scopes: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Be there until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for name in NAMES:
                await self.act("start", name)
            task_status.started()
            await trio.sleep_forever()

    async def look(self) -> Picture:
        """See `Control.look`."""
        await trio.sleep(0.01)
        running = [name for name in NAMES if self.states[name] == "running"]
        rows = [
            {
                "name": queue,
                "master": master,
                "in_sync": [name for name in running if name != master],
                "state": "waiting" if queue in self.broker.held else "running",
            }
            for queue, master in self.masters.items()
        ]
        return Picture(
            {
                name: {
                    "state": self.states[name],
                    "role": "leader" if name == self.leader else "follower",
                    "epoch": 1,
                    "queues": rows,
                }
                for name in running
            }
        )

    async def act(self, verb: str, node: str) -> None:
        """See `Control.act`."""
        await trio.sleep(0.02)
        match verb:
            case "start":
                self._nursery.start_soon(self._serve, node)
                await trio.sleep(0.3)
            case "kill":
                self._end(node, "killed")
                self._nursery.start_soon(self._replace, node, 0.0)
            case "freeze":
                self.network.freeze(node)
                self.states[node] = "frozen"
                self._hold(node)
                self._nursery.start_soon(self._replace, node, self._silence_s)
            case "thaw":
                self.network.thaw(node)
                self.states[node] = "running"

    async def cut(self, node: str, *, way: str = "both", other: str = "") -> None:
        """See `Control.cut`: a node in the minority pauses."""
        await trio.sleep(0.02)
        self._end(node, "paused")
        self._nursery.start_soon(self._replace, node, self._silence_s)

    async def heal(self) -> None:
        """See `Control.heal`."""
        for name, state in self.states.items():
            if state == "paused":
                await self.act("start", name)

    async def ask_any(self, request: dict[str, Any]) -> dict[str, Any]:
        """See `Control.ask_any`."""
        await trio.sleep(0.01)
        self.asked.append(request)
        if request["do"] == "recovered_list":
            return {"files": self.recovered, "silent": []}
        if request["do"] == "recovered_show":
            after, messages = request["after"], self.recovered_messages
            return {"messages": messages[after : after + 1], "remaining": max(0, len(messages) - after - 1)}
        return {}

    async def events(self, after_ms: int) -> list[dict[str, Any]]:
        """See `Control.events`."""
        await trio.sleep(0.01)
        return [{"kind": "life", "stamp_ms": after_ms}, *self.timeline]

    async def _serve(self, node: str) -> None:
        with trio.CancelScope() as self._scopes[node]:
            listener = await self.network.host(node).listen(self.targets[node].address)
            self.states[node] = "running"
            async with trio.open_nursery() as nursery:
                while True:
                    nursery.start_soon(self.broker.serve, await listener.accept(), node)

    def _end(self, node: str, state: str) -> None:
        self._hold(node)
        self._scopes[node].cancel()
        self.network.kill(node)
        self.states[node] = state

    def _hold(self, node: str) -> None:
        for queue, master in self.masters.items():
            if master == node:
                self.broker.held.setdefault(queue, [])

    async def _replace(self, node: str, silence_s: float) -> None:
        """Somebody takes over what the node mastered, once there is a majority."""
        if self._takeover_s is None:
            return
        await trio.sleep(silence_s + self._takeover_s)
        while len(running := [name for name in NAMES if self.states[name] == "running"]) < 2:  # noqa: ASYNC110 - virtual time
            await trio.sleep(0.01)
        heirs = [name for name in running if name != node]
        if self.leader == node:
            self.leader = heirs[0]
        for queue, master in self.masters.items():
            if master == node:
                self.masters[queue] = heirs[len(queue) % len(heirs)]
                facts = {"queue": queue, "from": node, "to": self.masters[queue], "missing": 0, "ms": 1}
                self.timeline.append({"kind": "promotion", **facts})
                self.broker.release(queue)
