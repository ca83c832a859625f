"""The road from a command to the cluster: the link port of any node that lives, and the supervisor's own port.

Decides whom to ask and how a refusal or a silence is told. It must not know what a request means.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Never, TypeVar

from broker.cli.exchange import Silent, ask_once
from broker.cli.failures import Failed
from broker.cli.run_file import RunFile, supervisor_lives
from broker.node.configuration import Address, Cluster

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

ANSWER_TIMEOUT_S = 60.0
STATUS_TIMEOUT_S = 5.0


class Road:
    """Speaks to one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.run: RunFile | None = None
        self.look_again()
        self._elsewhere: dict[str, Address] = {}
        self._dialler = _dialler(cluster)

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

    def ask(self, name: str, request: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """One node's answer. Raises Silent if there is none, Failed if it refuses."""
        return refuse_errors(self._exchange(self.link(name), request, timeout_s), name)

    def ask_all(
        self, request: dict[str, Any], timeout_s: float, among: Collection[str] | None = None
    ) -> dict[str, dict[str, Any] | Silent]:
        """The answer of every node, or of those `among` them, or why there is none; refusals stay in the answers."""
        answers = dict(self._hear(self.names if among is None else among, request, timeout_s))
        return {name: answers[name] for name in self.names if name in answers}

    def _hear(
        self, names: Collection[str], request: dict[str, Any], timeout_s: float
    ) -> Iterator[tuple[str, dict[str, Any] | Silent]]:
        """The answers of these nodes, as they come."""

        def ask(name: str) -> dict[str, Any] | Silent:
            try:
                return self._exchange(self.link(name), request, timeout_s)
            except Silent as silence:
                return silence

        return at_once(ask, names)

    def ask_any(self, request: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """The answer of a node that serves clients. Raises Failed if there is none, or if it refuses."""
        name = self.first_that_serves()
        try:
            return self.ask(name, request, timeout_s)
        except Silent as silence:
            # It may have acted before it fell silent, so no other node is asked to do it a second time.
            raise Failed(f"{name} fell silent before it answered, this may or may not be done: {silence}") from None

    def first_that_serves(self, timeout_s: float = STATUS_TIMEOUT_S) -> str:
        """The node that is the first to say that it serves clients. Raises Failed if none does."""
        states: dict[str, dict[str, Any] | Silent] = {}
        found: dict[str, int] = {}
        for name, state in self._hear(self.names, {"do": "status", "queues": False}, timeout_s):
            states[name] = state
            if not isinstance(state, Silent) and state.get("state") == "running":
                found[name] = len(state.get("members", self.names))
                if found[name] > 1 or len(self.names) == 1:
                    break  # one that was reset, and is a cluster of its own, is taken if there is no other
        if not found:
            raise Failed(nobody_serves(self.cluster, {name: states[name] for name in self.names}))
        return max(found, key=lambda name: found[name])

    @property
    def has_supervisor(self) -> bool:
        """Whether `warren up` runs this cluster here."""
        return self.run is not None

    def ask_supervisor(self, request: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """The supervisor's answer. Raises Failed if no supervisor runs, or if it refuses."""
        if self.run is None:
            raise Failed(f"no cluster was started here with `warren up` ({self.cluster.run_folder} has no supervisor)")
        try:
            answer = self._exchange(Address("127.0.0.1", self.run.port), request, timeout_s, secured=False)
        except Silent as silence:
            raise Failed(f"the supervisor (pid {self.run.pid}) does not answer: {silence}") from None
        return refuse_errors(answer, None)

    def _exchange(
        self, address: Address, request: dict[str, Any], timeout_s: float, *, secured: bool = True
    ) -> dict[str, Any]:
        """`secured`: over TLS, if the cluster has it; the supervisor's own port is on this machine only and plain."""
        name, cookie = self.cluster.name, self.cluster.cookie
        tls = self._dialler if secured else None
        return ask_once(address, request, cluster=name, cookie=cookie, timeout_s=timeout_s, tls=tls)


def _dialler(cluster: Cluster) -> "ssl.SSLContext | None":
    if cluster.tls is None:
        return None
    from broker.node.certificates import contexts_of

    contexts = contexts_of(cluster.tls)
    return None if contexts is None else contexts.dialler


def at_once(work: Callable[[str], T], names: Collection[str]) -> Iterator[tuple[str, T]]:
    """What each name's work returns, as it comes; who does not listen to the end leaves the others working.

    Raises what one of them raises.
    """
    if len(names) == 1:
        for name in names:
            yield name, work(name)
        return
    results: SimpleQueue[Callable[[], tuple[str, T]]] = SimpleQueue()

    def run(name: str) -> None:
        try:
            found = work(name)
        except BaseException as failure:  # raised where it is waited for
            results.put(partial(_throw, failure))
        else:
            results.put(lambda: (name, found))

    for name in names:
        Thread(target=run, args=(name,), daemon=True).start()
    for _ in names:
        yield results.get()()


def _throw(failure: BaseException) -> Never:
    raise failure


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


def ask_cluster(cluster: Cluster, request: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
    """All of the way of a command that has one question for whichever node serves."""
    return Road(cluster).ask_any(request, timeout_s)
