"""stop_app, start_app, and what is done to a node in between: reset, force_reset, join_cluster, force_boot,
update_cluster_nodes, change_cluster_node_type; and how long is waited for a node.

Decides what is asked and printed, and that a node whose process does not run can be given orders through its folder.
"""

import click

from broker.cli.ctl.call import Call, node_name
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Denied, Exit, Misuse

STOP_S = 60
START_S = 60
STARTUP_S = 300
APP_RUNS = (
    "this command requires the 'rabbit' app to be stopped on the target node. Stop it with 'rabbitmqctl stop_app'."
)
DISC_ONLY = "The node type must be disc: Warren has no other."


@ctl_command("stop_app", example="--node n2")
def stop_app(call: Call) -> None:
    """Stop the broker of a node; its process stays, and obeys reset, join_cluster and the like."""
    node = call.about_node()
    call.say(f"Stopping rabbit application on node rabbit@{node} ...")
    call.ask({"do": "stop_app"})
    call.wait_for_state(node, ("stopped", "failed"), STOP_S)
    call.done()


@ctl_command("start_app", example="--node n2")
def start_app(call: Call) -> None:
    """Start the broker of a node whose process runs; return when it serves."""
    node = call.about_node()
    call.say(f"Starting node rabbit@{node} ...")
    call.ask({"do": "start_app"})
    call.wait_for_state(node, ("running",), START_S)
    call.done()


@ctl_command("reset", example="--node n2")
def reset(call: Call) -> None:
    """Have a node leave its cluster and forget everything: messages, users, policies."""
    call.say(f"Resetting node rabbit@{call.about_node()} ...")
    _at_rest(call, {"do": "reset"})
    call.done()


@ctl_command("force_reset", example="--node n2")
def force_reset(call: Call) -> None:
    """Have a node forget everything, without telling its cluster (forget_cluster_node does that)."""
    call.say(f"Forcefully resetting node rabbit@{call.about_node()} ...")
    _at_rest(call, {"do": "force_reset"})
    call.done()


@ctl_command("join_cluster", "[--disc] <existing_cluster_member>", example="--node n2 n1")
@click.argument("member")
@click.option("--disc", is_flag=True, help="As a disc node, which every node is.")
@click.option("--ram", is_flag=True, help="Not possible: there are disc nodes only.")
def join_cluster(call: Call, member: str, *, disc: bool, ram: bool) -> None:
    """Make a node a member of the cluster that MEMBER is in. What the node had is forgotten."""
    if ram:
        raise Misuse(DISC_ONLY if not disc else "The node type must be either disc or ram.", Exit.DATA)
    node, target = call.about_node(), node_name(member)
    call.say(f"Clustering node rabbit@{node} with {member}")
    answer = _at_rest(call, {"do": "join_cluster", "target": target, "address": call.link_of(target)})
    if answer["already"]:
        call.print_value("The node is already a member of this cluster")
    else:
        call.done()


@ctl_command("update_cluster_nodes", "<seed_node>", example="--node n2 n1")
@click.argument("seed")
def update_cluster_nodes(call: Call, seed: str) -> None:
    """Have a node learn from another who the members of its cluster are now."""
    node, target = call.about_node(), node_name(seed)
    call.say(f"Will seed rabbit@{node} from {seed} on next start")
    _at_rest(call, {"do": "update_cluster_nodes", "target": target, "address": call.link_of(target)})
    call.done()


@ctl_command("change_cluster_node_type", "<disc>", example="--node n2 disc")
@click.argument("kind")
def change_cluster_node_type(call: Call, kind: str) -> None:
    """Every node is a disc node; there is no other type."""
    if kind not in ("disc", "disk"):
        raise Misuse(DISC_ONLY, Exit.DATA)
    call.say(f"Turning rabbit@{call.about_node()} into a {kind} node")
    call.print_value("Node type is already disc")


@ctl_command("force_boot", example="--node n2")
def force_boot(call: Call) -> None:
    """Let the next start of a node go on without the members that it would wait for. What only they have is lost.

    The node's broker, or its process, must be stopped.
    """
    node = call.about_node()
    if call.reaches(node):
        _at_rest(call, {"do": "force_boot"})
    else:
        from broker.cli.ctl.offline import order_boot  # it writes as nodes do, with all that they need for it

        order_boot(call.cluster(), node)
    call.done()


@ctl_command("await_startup", example="--node n2 --timeout 60")
def await_startup(call: Call) -> None:
    """Return when a node serves; without --node, when any does."""
    call.wait_for_state(call.named_node, ("running",), STARTUP_S)
    call.done()


def _at_rest(call: Call, request: dict[str, object]) -> dict[str, object]:
    """The answer of a node whose broker is stopped."""
    try:
        return call.ask(request)
    except Denied as denied:
        if denied.code == "running":
            raise Misuse(APP_RUNS) from None
        if denied.code == "itself":
            raise CtlFailure(Exit.SOFTWARE, f"Error: {denied.why}", bare=True) from None
        raise
