"""Whether a node may be stopped: check_if_node_is_mirror_sync_critical, check_if_node_is_quorum_critical, and waiting
until it may: await_online_synchronized_mirror, await_online_quorum_plus_one.

Decides what would be lost without the node: of a mirrored queue its only synchronised copy, of a quorum queue the same
or, with the majority of the cluster, its service. Every node knows where all copies are, so the node itself is asked.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cluster.partitions import PAUSE_MINORITY

TIMEOUT_S = 120
ALONE = "seems to be the only one in a single node cluster, the"


class View(NamedTuple):
    """What a node knows."""

    node: str
    members: int
    others: frozenset[str]
    """The other members that run."""
    keeps_majority: bool
    """Whether those are enough for the cluster to go on."""
    queues: list[dict[str, Any]]


Check = Callable[[View], list[dict[str, Any]]]


def _view(call: Call) -> View:
    call.about_node()
    node, answer = call.look()
    queues = call.ask({"do": "status", "queues": True})["queues"]
    running = {name for name, member in answer["members"].items() if member["running"]}
    others = frozenset(running - {node})
    enough = answer["partition_handling"] != PAUSE_MINORITY or len(others) >= answer["majority"]
    return View(node, len(answer["members"]), others, enough, queues)


def _unmirrored(view: View) -> list[dict[str, Any]]:
    """Mirrored queues whose master is there and whose synchronised mirrors do not run."""
    return [
        _described(queue, "rabbit_classic_queue")
        for queue in view.queues
        if queue["type"] != "quorum"
        and queue["mirrors"] is not None
        and queue["master"] == view.node
        and not view.others & set(queue["in_sync"])
    ]


def _minimal(view: View) -> list[dict[str, Any]]:
    """Quorum queues that could not go on without it."""
    return [
        _described(queue, "rabbit_quorum_queue")
        for queue in view.queues
        if queue["type"] == "quorum"
        and not (view.keeps_majority and view.others & {queue["master"], *(queue["in_sync"] or ())})
    ]


def _described(queue: dict[str, Any], kind: str) -> dict[str, Any]:
    readable = f"queue '{queue['name']}' in vhost '{queue['vhost']}'"
    return {"name": queue["name"], "readable_name": readable, "virtual_host": queue["vhost"], "type": kind}


@ctl_command("check_if_node_is_mirror_sync_critical", example="--node n1")
def check_if_node_is_mirror_sync_critical(call: Call) -> None:
    """Fail if a mirrored queue would have no synchronised copy without this node: it should not be stopped then."""
    node = f"rabbit@{call.about_node()}"
    call.say(f"Checking if node {node} is critical for data safety of any classic mirrored queues ...")
    _check(
        call,
        _unmirrored,
        good=f"Node {node} reported no classic mirrored queues without online synchronised mirrors",
        bad=f"Node {node} reported local classic mirrored queues without online synchronised mirrors",
        loss=f"would lose its only synchronised replica (master) if node {node} is stopped",
    )


@ctl_command("check_if_node_is_quorum_critical", example="--node n1")
def check_if_node_is_quorum_critical(call: Call) -> None:
    """Fail if a quorum queue could not go on without this node: it should not be stopped then."""
    node = f"rabbit@{call.about_node()}"
    call.say(f"Checking if node {node} is critical for quorum of any quorum queues ...")
    _check(
        call,
        _minimal,
        good=f"Node {node} reported no quorum queues with minimum quorum",
        bad=f"Node {node} reported local queues with minimum online quorum",
        loss=f"would lose quorum if node {node} is stopped",
    )


def _check(call: Call, check: Check, *, good: str, bad: str, loss: str) -> None:
    view = _view(call)
    if view.members == 1:
        message = f"Target node {ALONE} check does not apply"
        call.passed(f"Node rabbit@{view.node} {ALONE} check does not apply", hushed=True, result="ok", message=message)
        return
    if queues := check(view):
        text = "\n".join(f"{queue['readable_name']} {loss}" for queue in queues)
        raise call.failed(text, bare=True, hushed=True, result="error", queues=queues, message=bad)
    call.passed(good, hushed=True, result="ok")


@ctl_command("await_online_synchronized_mirror", example="--node n1 --timeout 60")
def await_online_synchronized_mirror(call: Call) -> None:
    """Return when every mirrored queue of a node has a synchronised copy elsewhere: then it may be stopped."""
    what = "a synchronised mirror be online for all classic mirrored queues"
    _await(call, _unmirrored, what, "no synchronised mirror came online for at least some classic mirrored queues")


@ctl_command("await_online_quorum_plus_one", example="--node n1 --timeout 60")
def await_online_quorum_plus_one(call: Call) -> None:
    """Return when every quorum queue could go on without a node: then it may be stopped."""
    what = "a quorum + 1 of nodes to be online for all quorum queues"
    _await(call, _minimal, what, "no quorum + 1 online replicas came online for at least some quorum queues")


def _await(call: Call, check: Check, what: str, lack: str) -> None:
    node, seconds = call.about_node(), call.seconds(TIMEOUT_S)
    call.say(f"Will wait for {what} for {seconds} seconds...")
    if _view(call).members == 1:
        if not call.is_quiet:
            call.print_value(f"Target node {ALONE} command does not apply")
        return
    if not call.poll(lambda: not check(_view(call)), seconds):
        text = f"time is up, {lack}"
        raise call.failed(text, result="error", node=f"rabbit@{node}", message=text)
    call.done()
