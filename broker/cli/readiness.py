"""Waits until the nodes that were started serve clients, and gives them what the file says.

Decides when a cluster counts as ready, as ready without some node, or as failed, and says so. It does not start nodes.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from time import sleep
from typing import Any
from urllib.parse import quote

from broker.cli.exchange import Silent
from broker.cli.failures import Failed
from broker.cli.merging import members_of
from broker.cli.processes import NodeProcess
from broker.cli.road import Road
from broker.cli.vocabulary import Doors
from broker.node.configuration import Cluster
from broker.node.founding import contents_of, definitions_of

POLL_S = 0.04
POLL_TIMEOUT_S = 1.0
STRAGGLER_GRACE_S = 5.0
"""How long a majority waits for the nodes that are still starting before the cluster is called ready without them."""

States = Mapping[str, Mapping[str, Any] | Silent]


def become_ready(
    road: Road,
    processes: Mapping[str, NodeProcess],
    timeout_s: float,
    clock: Callable[[], float],
    newcomers: Callable[[Collection[str]], list[str]],
    *,
    restarts: bool,
    pause: Callable[[float], None] = sleep,
) -> str:
    """Waits for the cluster; the line that says it is ready. `clock`: seconds since `up` was called; `newcomers` is
    told the members once they serve, lets in whom the file names besides, and says who came.

    Raises Failed if no majority serves clients in time, or if it never can.
    """
    cluster = road.cluster
    deadline_s = clock() + timeout_s
    majority_since_s: float | None = None
    while True:
        states = road.ask_all({"do": "status", "queues": False}, POLL_TIMEOUT_S)
        members = _members(cluster, states)
        quorum = cluster.partition_handling.needed(members)
        serving = [name for name, state in states.items() if _state(state) == "running" and name in members]
        dead = [] if restarts else [name for name, process in processes.items() if not process.is_alive()]
        now_s = clock()
        if len(serving) >= quorum:
            majority_since_s = now_s if majority_since_s is None else majority_since_s
            late = now_s - majority_since_s > STRAGGLER_GRACE_S
            missing = [name for name in members if name not in serving]
            if late or (set(missing) <= set(dead) and not _may_outnumber(members, states, processes)):
                with suppress(Silent):  # it has just died: who serves then is asked
                    road.ask(serving[0], contents(cluster))
                    joined = newcomers(members)
                    return _ready_line([*members, *joined], [*serving, *joined], missing, clock())
        out_of_reach = len(members) - len(set(dead) & set(members)) < quorum
        if out_of_reach or now_s > deadline_s:
            when = "" if out_of_reach else f" after {timeout_s:g} s"
            what = "no majority" if quorum > 1 else "no node serves"
            raise Failed(f"{what}{when}: {_why(members, states, processes, serving, quorum)}")
        pause(POLL_S)


def contents(cluster: Cluster) -> dict[str, Any]:
    """The request that brings a running cluster to what the file says. Raises Failed."""
    request = {"do": "apply", **contents_of(cluster)}
    try:
        definitions = definitions_of(cluster)
    except (OSError, ValueError) as error:
        raise Failed(f"definitions: {cluster.definitions}: {error}") from None
    return request if definitions is None else {**request, "definitions": definitions}


def urls(cluster: Cluster, doors: Doors) -> list[str]:
    """What to paste into a client or a browser."""
    found = [amqp_url(cluster, doors["amqp"])]
    if doors["amqps"] is not None:
        found.append(amqp_url(cluster, doors["amqps"], "amqps"))
    found.append(f"http://{doors['http']}")
    return found if doors["https"] is None else [*found, f"https://{doors['https']}"]


def amqp_url(cluster: Cluster, address: str, scheme: str = "amqp") -> str:
    """A URL to paste into a client. Only the password that everybody knows is shown."""
    user = next((user for user in cluster.users if cluster.vhosts[0] in user.permissions), None)
    known = user is not None and user.name == user.password == "guest"
    login = "guest:guest@" if known else f"{quote(user.name, safe='')}@" if user is not None else ""
    return f"{scheme}://{login}{address}/{quote(cluster.vhosts[0], safe='')}"


def _members(cluster: Cluster, states: States) -> list[str]:
    """Who belongs to the cluster, as its nodes tell; before its founding those of the file."""
    told = members_of({name: state for name, state in states.items() if not isinstance(state, Silent)})
    return list(told) or list(cluster.names)


def _may_outnumber(members: list[str], states: States, processes: Mapping[str, NodeProcess]) -> bool:
    """Whether nodes that are still starting may turn out to be the cluster, and these one that was reset."""

    def may(name: str, state: Mapping[str, Any] | Silent) -> bool:
        if isinstance(state, Silent):
            return name in processes and processes[name].is_alive()
        return state.get("state") in ("starting", "paused") and not set(state.get("members", members)) & set(members)

    return any(may(name, state) for name, state in states.items() if name not in members)


def _ready_line(members: list[str], serving: list[str], missing: list[str], seconds: float) -> str:
    if missing:
        return f"cluster ready: {len(serving)} of {len(members)} nodes, waiting for {', '.join(missing)}"
    return f"cluster ready: {len(serving)} node{'s' if len(serving) > 1 else ''} in {seconds:.2f} s"


def _state(state: Mapping[str, Any] | Silent) -> str | None:
    return None if isinstance(state, Silent) else state.get("state")


def _why(
    members: list[str], states: States, processes: Mapping[str, NodeProcess], serving: list[str], quorum: int
) -> str:
    """Who serves, who does not, and what each of the others waits for."""
    parts = [f"{len(serving)} of {len(members)} nodes serve, {quorum} {'is' if quorum == 1 else 'are'} needed"]
    for name in members:
        if name in serving:
            continue
        state, process = states.get(name, Silent("it is not in the file")), processes.get(name)
        if process is not None and not process.is_alive():
            parts.append(f"{name} {process.reason or 'stopped'}")
        elif isinstance(state, Silent):
            parts.append(f"{name} does not answer ({state})")
        else:
            parts.append(f"{name} is {state.get('state', 'unwell')}{_waits(state)}")
    return "; ".join(parts)


def _waits(state: Mapping[str, Any]) -> str:
    awaited = f", waiting for {', '.join(state['waiting_for'])}" if state.get("waiting_for") else ""
    return awaited + (f": {state['reason']}" if state.get("reason") else "")
