"""stop and shutdown: the end of a node's process, not only of the broker in it.

Decides who is told: the supervisor of `warren up` if there is one here, so that it is no accident, else the node.
"""

from typing import Any

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Exit

TIMEOUT_S = 120


@ctl_command("stop", example="--node n2")
def stop(call: Call) -> None:
    """End a node's process, orderly; it hands its masters over first. `warren start` or its service starts it again."""
    node = call.about_node()
    pid = call.look_at(node)["pid"]
    call.say(f"Stopping and halting node rabbit@{node} ...")
    _end(call, node, pid, waits=True)
    call.done()


@ctl_command("shutdown", "[--wait|--no-wait]", example="--node n2 --timeout 60")
@click.option("--wait/--no-wait", "waits", default=True, help="Return when it has ended, or at once.")
def shutdown(call: Call, *, waits: bool) -> None:
    """End a node's process, as stop does, and say how that goes."""
    node = call.about_node()
    pid = call.look_at(node)["pid"]
    call.say(f"Shutting down RabbitMQ node rabbit@{node} running at PID {pid}")
    _end(call, node, pid, waits=waits)
    if waits:
        call.say(f"RabbitMQ node rabbit@{node} running at PID {pid} successfully shut down")
    call.done()


def _end(call: Call, node: str, pid: int, *, waits: bool) -> None:
    from broker.cli.failures import Failed
    from broker.cli.road import Road
    from broker.cli.run_file import is_node

    def has_ended() -> bool:
        return not call.reaches(node) and not is_node(pid, node)  # of another machine only the first is seen

    road = Road(call.cluster())
    request: dict[str, Any] = {"do": "stop", "node": node}
    try:
        if road.run is not None and node in road.run.nodes:
            road.ask_supervisor(request, call.seconds(TIMEOUT_S))
        else:
            road.ask(node, {"do": "shutdown"}, call.timeout_s)
    except Failed as failed:
        raise CtlFailure(Exit.UNAVAILABLE, failed.message) from None
    if waits and not call.poll(has_ended, call.seconds(TIMEOUT_S)):
        raise CtlFailure(Exit.TIMEOUT, f"rabbit@{node} still runs after {call.seconds(TIMEOUT_S)} s")
