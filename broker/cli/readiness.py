"""Waits until the nodes that were started serve clients, and gives them what the file says.

Decides when a cluster counts as ready, as ready without some node, or as failed, and says so. It does not start nodes.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import trio

from broker.cli.failures import Failed
from broker.cli.processes import NodeProcess
from broker.cli.road import Road, Silent
from broker.cli.vocabulary import Doors
from broker.node.configuration import Cluster
from broker.node.founding import contents_of, definitions_of

POLL_S = 0.04
POLL_TIMEOUT_S = 1.0
STRAGGLER_GRACE_S = 5.0
"""How long a majority waits for the nodes that are still starting before the cluster is called ready without them."""

States = Mapping[str, Mapping[str, Any] | Silent]


async def become_ready(
    road: Road, processes: Mapping[str, NodeProcess], timeout_s: float, clock: Callable[[], float], *, restarts: bool
) -> str:
    """Waits for the cluster; the line that says it is ready. `clock`: seconds since `up` was called.

    Raises Failed if no majority serves clients in time, or if it never can.
    """
    cluster = road.cluster
    deadline_s = trio.current_time() + timeout_s
    majority_since_s: float | None = None
    while True:
        states = await road.ask_all({"do": "status", "queues": False}, POLL_TIMEOUT_S)
        serving = [name for name, state in states.items() if _state(state) == "running"]
        dead = [] if restarts else [name for name, process in processes.items() if not process.is_alive()]
        now_s = trio.current_time()
        if len(serving) >= cluster.quorum:
            majority_since_s = now_s if majority_since_s is None else majority_since_s
            late = now_s - majority_since_s > STRAGGLER_GRACE_S
            missing = [name for name in cluster.names if name not in serving]
            if not missing or late or set(missing) <= set(dead):
                await road.ask(serving[0], contents(cluster))
                return _ready_line(cluster, serving, missing, clock())
        out_of_reach = len(cluster.names) - len(dead) < cluster.quorum
        if out_of_reach or now_s > deadline_s:
            when = "" if out_of_reach else f" after {timeout_s:g} s"
            raise Failed(f"no majority{when}: {_why(cluster, states, processes, serving)}")
        await trio.sleep(POLL_S)


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
    return [*found, f"http://{doors['http']}"]


def amqp_url(cluster: Cluster, address: str, scheme: str = "amqp") -> str:
    """A URL to paste into a client. Only the password that everybody knows is shown."""
    user = next((user for user in cluster.users if cluster.vhosts[0] in user.permissions), None)
    known = user is not None and user.name == user.password == "guest"
    login = "guest:guest@" if known else f"{quote(user.name, safe='')}@" if user is not None else ""
    return f"{scheme}://{login}{address}/{quote(cluster.vhosts[0], safe='')}"


def _ready_line(cluster: Cluster, serving: list[str], missing: list[str], seconds: float) -> str:
    if missing:
        return f"cluster ready: {len(serving)} of {len(cluster.names)} nodes, waiting for {', '.join(missing)}"
    return f"cluster ready: {len(serving)} node{'s' if len(serving) > 1 else ''} in {seconds:.2f} s"


def _state(state: Mapping[str, Any] | Silent) -> str | None:
    return None if isinstance(state, Silent) else state.get("state")


def _why(cluster: Cluster, states: States, processes: Mapping[str, NodeProcess], serving: list[str]) -> str:
    """Who serves, who does not, and what each of the others waits for."""
    parts = [f"{len(serving)} of {len(cluster.names)} nodes serve, {cluster.quorum} are needed"]
    for name in cluster.names:
        if name in serving:
            continue
        state, process = states[name], processes.get(name)
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
