"""Health checks: ping, is_running, is_booting, check_running, alarms and their checks, check_virtual_hosts.

Decides what counts as healthy, and what is printed: a check that fails ends with 69, for scripts and load balancers.
"""

from collections.abc import Mapping
from typing import Any, Final

from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command

ALARMS: Final = {"memory": "Memory alarm on node", "disk": "Free disk space alarm on node"}


@ctl_command("ping", example="--node n1")
def ping(call: Call) -> None:
    """Fail unless a node's process answers, whether it serves clients or not."""
    asked = call.chosen_node or "any node"
    call.say(
        f"Will ping {asked}. This only checks if the OS process is running. Timeout: {call.timeout_s * 1000:g} ms."
    )
    call.look(serving=False)
    call.print_value("Ping succeeded")


@ctl_command("is_running", example="--node n1")
def is_running(call: Call) -> None:
    """Say whether a node serves clients; check_running fails if not."""
    node, answer = call.look(serving=False)
    call.say(f"Asking node rabbit@{node} for its status ...")
    text, facts = _running(node, answer)
    call.passed(text, **facts)


@ctl_command("is_booting", example="--node n1")
def is_booting(call: Call) -> None:
    """Say whether a node is on its way to serve clients."""
    node, answer = call.look(serving=False)
    call.say(f"Asking node rabbit@{node} for its boot status ...")
    booting = answer["state"] == "starting"
    word = "is booting"
    if not booting:
        word = "is fully booted (check with is_running), stopped or has not started booting yet"
    text = f"RabbitMQ on node rabbit@{node} {word}"
    call.passed(text, message=text, result=booting)


@ctl_command("check_running", example="--node n1")
def check_running(call: Call) -> None:
    """Fail unless a node serves clients."""
    node, answer = call.look(serving=False)
    call.say(f"Checking if RabbitMQ is running on node rabbit@{node} ...")
    text, facts = _running(node, answer)
    if not facts["result"]:
        why = f": {answer['reason']}" if answer.get("reason") else ""
        raise call.failed(text + why, result="error", message=text)
    call.passed(text, message=text)


def _running(node: str, answer: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    is_so = answer["state"] == "running"
    word = "is fully booted and running"
    if not is_so:
        word = "is not running or has not fully booted yet (check with is_booting)"
    text = f"RabbitMQ on node rabbit@{node} {word}"
    return text, {"message": text, "result": is_so}


@ctl_command("alarms", example="--node n1")
def alarms(call: Call) -> None:
    """Show which nodes run short of memory or disk."""
    node, local, everywhere = _alarms(call)
    call.say(f"Asking node rabbit@{node} to report any known resource alarms ...")
    if not local + everywhere:
        text = f"Node rabbit@{node} reported no alarms, local or clusterwide"
        call.passed(text, alarms=[], node=f"rabbit@{node}", result="ok")
        return
    facts: dict[str, Any] = {"local": local, "global": everywhere, "message": f"Node rabbit@{node} reported alarms"}
    call.passed("\n".join(local + everywhere), **facts, result="ok")


@ctl_command("check_alarms", example="--node n1")
def check_alarms(call: Call) -> None:
    """Fail if any node runs short of memory or disk."""
    node, local, everywhere = _alarms(call)
    call.say(f"Asking node rabbit@{node} to report any local resource alarms ...")
    if local + everywhere:
        facts: dict[str, Any] = {"local": local, "global": everywhere, "message": f"Node rabbit@{node} reported alarms"}
        raise call.failed("\n".join(local + everywhere), bare=True, hushed=True, **facts, result="error")
    call.passed(f"Node rabbit@{node} reported no alarms, local or clusterwide", hushed=True, result="ok")


@ctl_command("check_local_alarms", example="--node n1")
def check_local_alarms(call: Call) -> None:
    """Fail if this node runs short of memory or disk."""
    node, local, _ = _alarms(call)
    call.say(f"Asking node rabbit@{node} to report any local resource alarms ...")
    if local:
        facts: dict[str, Any] = {
            "local": local,
            "message": f"Node rabbit@{node} reported local alarms",
            "result": "error",
        }
        raise call.failed("\n".join(local), hushed=True, **facts)
    call.passed(f"Node rabbit@{node} reported no local alarms", hushed=True, result="ok")


def _alarms(call: Call) -> tuple[str, list[str], list[str]]:
    """Who was asked, its alarms, and those of the others."""
    asked, answer = call.look()
    others = [alarm_lines(name, facts) for name, facts in call.survey().items() if name != asked]
    return asked, alarm_lines(asked, answer), [line for lines in others for line in lines]


def alarm_lines(node: str, answer: Mapping[str, Any]) -> list[str]:
    """What this node runs short of."""
    return [f"{ALARMS.get(resource, resource)} rabbit@{node}" for resource in answer["alarms"]]


@ctl_command("check_virtual_hosts", example="--node n1")
def check_virtual_hosts(call: Call) -> None:
    """Fail if a node does not serve a virtual host."""
    down = call.ask({"do": "describe"})["down_vhosts"]
    node = call.node
    call.say(f"Checking if all vhosts are running on node {node} ...")
    if down:
        text = "\n".join([f"Some virtual hosts on node {node} are down:", *down])
        raise call.failed(text, hushed=True, result="error", down_vhosts=down)
    call.passed(f"Node {node} reported all vhosts as running", hushed=True, result="ok")
