"""The road from a command to the cluster: the link port of any node that lives, and the supervisor's own port.

Decides whom to ask and how a refusal or a silence is told. It must not know what a request means.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, TypeVar

import trio

from broker.cli.failures import Failed
from broker.cli.run_file import RunFile, supervisor_lives
from broker.node.certificates import contexts_of
from broker.node.configuration import Address, Cluster
from broker.peers.admin import NoAnswer, ask_once
from broker.world.network import TcpNetwork

T = TypeVar("T")

ANSWER_TIMEOUT_S = 60.0
STATUS_TIMEOUT_S = 5.0


class Silent(Failed):
    """A node that did not answer; the text says why."""


class Road:
    """Speaks to one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.run: RunFile | None = None
        self.look_again()
        self._elsewhere: dict[str, Address] = {}
        self._network = TcpNetwork()
        contexts = contexts_of(cluster.tls)
        self._dialler = None if contexts is None else contexts.dialler

    def look_again(self) -> None:
        """Which nodes the supervisor has, and where they listen: after it has taken up new ones."""
        folder = self.cluster.run_folder
        self.run = RunFile.read(folder) if supervisor_lives(folder) else None

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes: those of the file in its order, then those that run here, or are known to be members, besides."""
        running = self.run.nodes if self.run is not None else {}
        return tuple(dict.fromkeys((*self.cluster.names, *running, *self._elsewhere)))

    def learn(self, links: Mapping[str, str]) -> list[str]:
        """Members as a node told them, with their link addresses: those that were not known yet, from now on are."""
        found = {name: Address.parse(link) for name, link in links.items() if link and name not in self.names}
        self._elsewhere |= found
        return list(found)

    def link(self, name: str) -> Address:
        """Where the node's link is dialled. Raises Failed for a node that there is not."""
        if self.run is not None and name in self.run.nodes:
            return self.run.nodes[name].link.reachable
        if name in self._elsewhere:
            return self._elsewhere[name].reachable
        if name not in self.cluster.names:
            raise Failed(f"there is no node {name}: {', '.join(self.names)}")
        return self.cluster.node(name).link.reachable

    async def ask(self, name: str, request: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """One node's answer. Raises Silent if there is none, Failed if it refuses."""
        return refuse_errors(await self._exchange(self.link(name), request, timeout_s), name)

    async def ask_all(
        self, request: dict[str, Any], timeout_s: float, among: Collection[str] | None = None
    ) -> dict[str, dict[str, Any] | Silent]:
        """The answer of every node, or of those `among` them, or why there is none; refusals stay in the answers."""
        answers: dict[str, dict[str, Any] | Silent] = {}

        async def ask(name: str) -> None:
            try:
                answers[name] = await self._exchange(self.link(name), request, timeout_s)
            except Silent as silence:
                answers[name] = silence

        async with trio.open_nursery() as nursery:
            for name in self.names if among is None else among:
                nursery.start_soon(ask, name)
        return {name: answers[name] for name in self.names if name in answers}

    async def ask_any(self, request: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """The answer of a node that serves clients. Raises Failed if there is none, or if it refuses."""
        name = await self.first_that_serves()
        try:
            return await self.ask(name, request, timeout_s)
        except Silent as silence:
            # It may have acted before it fell silent, so no other node is asked to do it a second time.
            raise Failed(f"{name} fell silent before it answered, this may or may not be done: {silence}") from None

    async def first_that_serves(self) -> str:
        """The node that is the first to say that it serves clients. Raises Failed if none does."""
        states: dict[str, dict[str, Any] | Silent] = {}
        found: dict[str, int] = {}
        question = {"do": "status", "queues": False}

        async def ask(name: str, scope: trio.CancelScope) -> None:
            try:
                state = await self._exchange(self.link(name), question, STATUS_TIMEOUT_S)
            except Silent as silence:
                states[name] = silence
                return
            states[name] = state
            if state.get("state") == "running":
                found[name] = len(state.get("members", self.names))
                if found[name] > 1 or len(self.names) == 1:
                    scope.cancel()  # one that was reset, and is a cluster of its own, is taken if there is no other

        async with trio.open_nursery() as nursery:
            for name in self.names:
                nursery.start_soon(ask, name, nursery.cancel_scope)
        if not found:
            raise Failed(nobody_serves(self.cluster, {name: states[name] for name in self.names}))
        return max(found, key=lambda name: found[name])

    @property
    def has_supervisor(self) -> bool:
        """Whether `warren up` runs this cluster here."""
        return self.run is not None

    async def ask_supervisor(self, request: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """The supervisor's answer. Raises Failed if no supervisor runs, or if it refuses."""
        if self.run is None:
            raise Failed(f"no cluster was started here with `warren up` ({self.cluster.run_folder} has no supervisor)")
        try:
            answer = await self._exchange(Address("127.0.0.1", self.run.port), request, timeout_s, secured=False)
        except Silent as silence:
            raise Failed(f"the supervisor (pid {self.run.pid}) does not answer: {silence}") from None
        return refuse_errors(answer, None)

    async def _exchange(
        self, address: Address, request: dict[str, Any], timeout_s: float, *, secured: bool = True
    ) -> dict[str, Any]:
        """`secured`: over TLS, if the cluster has it; the supervisor's own port is on this machine only and plain."""
        name, cookie = self.cluster.name, self.cluster.cookie
        tls = self._dialler if secured else None
        try:
            return await ask_once(
                self._network, str(address), request, cluster=name, cookie=cookie, timeout_s=timeout_s, tls=tls
            )
        except NoAnswer as reason:
            raise Silent(str(reason)) from None


def refuse_errors(answer: dict[str, Any], name: str | None) -> dict[str, Any]:
    """The answer, unless it is a refusal: then Failed with its text."""
    if "error" in answer:
        raise Failed(f"{name}: {answer['error']}" if name else str(answer["error"]))
    return answer


def nobody_serves(cluster: Cluster, states: dict[str, dict[str, Any] | Silent]) -> str:
    """Why no node can be asked: each node with its reason, in one line."""
    reasons = []
    for name, state in states.items():
        if isinstance(state, Silent):
            reasons.append(f"{name}: {state}")
        else:
            why = state.get("reason") or state.get("error")
            reasons.append(f"{name} is {state.get('state', 'unwell')}" + (f": {why}" if why else ""))
    return f"no node of cluster {cluster.name} serves: " + "; ".join(reasons)


def travel(journey: Callable[[Road], Awaitable[T]], cluster: Cluster) -> T:
    """Runs what a command does with the cluster. Ctrl-C raises KeyboardInterrupt, wherever it struck."""
    try:
        return trio.run(partial(_travel, journey, cluster))
    except BaseExceptionGroup as group:
        if group.split(KeyboardInterrupt)[1] is None:
            raise KeyboardInterrupt from None
        raise


def ask_cluster(cluster: Cluster, request: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
    """The whole journey of a command that has one question for whichever node serves."""

    async def journey(road: Road) -> dict[str, Any]:
        return await road.ask_any(request, timeout_s)

    return travel(journey, cluster)


async def _travel(journey: Callable[[Road], Awaitable[T]], cluster: Cluster) -> T:
    return await journey(Road(cluster))
