"""cluster_status, set_cluster_name, forget_cluster_node, rename_cluster_node, await_online_nodes.

Decides what is asked and printed; which facts each node has of itself they tell in `status`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from broker.cli.ctl import output
from broker.cli.ctl.application import STARTUP_S
from broker.cli.ctl.call import Call, node_name
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Exit, Misuse
from broker.cli.ctl.health import ALARMS
from broker.cli.ctl.listeners import listeners_of
from broker.management.feature_flags import FLAGS

ONLINE_NODE = (
    "You set the --offline flag, which is used to remove nodes remotely from offline nodes, but this node is online."
)
OFFLINE_NODE = (
    "You are trying to remove a node from an offline node. That is dangerous, but can be done with the --offline flag. "
    "Please consult the manual for rabbitmqctl for more information."
)
NOT_A_MEMBER = CtlFailure(Exit.UNAVAILABLE, "The node selected is not in the cluster.")

Answers = Mapping[str, dict[str, Any]]


@ctl_command("cluster_status", example="--formatter json")
def cluster_status(call: Call) -> None:
    """Show members, who of them runs, versions, maintenance, alarms, partitions and listeners."""
    answers = call.survey()
    asked = call.named_node or next(iter(answers))
    if asked not in answers:
        raise CtlFailure(Exit.UNAVAILABLE, f"node rabbit@{asked} does not answer")
    facts = _facts(asked, answers)
    if call.is_json:
        call.print_object(facts)
        return
    call.say(f"Cluster status of node rabbit@{asked} ...")
    for line in _lines(facts):
        click.echo(line)


def _facts(asked: str, answers: Answers) -> dict[str, Any]:
    """In the shape of RabbitMQ's JSON."""
    members = answers[asked]["members"]
    running = {name: answer for name, answer in answers.items() if answer["state"] == "running" and name in members}
    drained = {name for name, member in members.items() if member.get("drained")}
    return {
        "cluster_name": answers[asked]["cluster_name"],
        "disk_nodes": [_rabbit(name) for name in members],
        "ram_nodes": [],
        "running_nodes": [_rabbit(name) for name in running],
        "alarms": [
            {"node": _rabbit(name), "resource": alarm} for name, answer in running.items() for alarm in answer["alarms"]
        ],
        "maintenance_status": {
            _rabbit(name): "marked for maintenance" if name in drained else "not under maintenance" for name in running
        },
        "partitions": {
            _rabbit(name): [_rabbit(other) for other in sorted({*answer["cut_from"], *answer["parted_from"]})]
            for name, answer in running.items()
            if answer["cut_from"] or answer["parted_from"]
        },
        "listeners": {_rabbit(name): listeners_of(name, answer) for name, answer in running.items()},
        "versions": {
            _rabbit(name): {
                "rabbitmq_name": "RabbitMQ",
                "rabbitmq_version": answer["version"],
                "erlang_version": answer["platform"],
            }
            for name, answer in running.items()
        },
        "cpu_cores": {_rabbit(name): answer["cpu_cores"] for name, answer in running.items()},
        "feature_flags": [{"name": name, "state": "enabled"} for name in FLAGS],
    }


def _lines(facts: Mapping[str, Any]) -> list[str]:
    versions = facts["versions"].items()
    listeners = [listener for found in facts["listeners"].values() for listener in found]
    sections: dict[str, Sequence[str]] = {
        "Basics": [
            f"Cluster name: {facts['cluster_name']}",
            f"Total CPU cores available cluster-wide: {sum(facts['cpu_cores'].values())}",
        ],
        "Disk Nodes": sorted(facts["disk_nodes"]),
        "Running Nodes": sorted(facts["running_nodes"]),
        "Versions": [
            f"{node}: RabbitMQ {one['rabbitmq_version']} on {one['erlang_version']}" for node, one in versions
        ],
        "CPU Cores": [f"Node: {node}, available CPU cores: {count}" for node, count in facts["cpu_cores"].items()],
        "Maintenance status": [f"Node: {node}, status: {word}" for node, word in facts["maintenance_status"].items()],
        "Alarms": [f"{ALARMS.get(one['resource'], one['resource'])} {one['node']}" for one in facts["alarms"]],
        "Network Partitions": [
            f"Node {node} cannot communicate with {', '.join(others)}" for node, others in facts["partitions"].items()
        ],
        "Listeners": [
            f"Node: {one['node']}, interface: {one['interface']}, port: {one['port']}, protocol: {one['protocol']}, "
            f"purpose: {one['purpose']}"
            for one in listeners
        ],
        "Feature flags": [f"Flag: {flag['name']}, state: {flag['state']}" for flag in facts["feature_flags"]],
    }
    return output.sections(sections)


@ctl_command("set_cluster_name", "<name>", example="shop")
@click.argument("name")
def set_cluster_name(call: Call, name: str) -> None:
    """Say what clients are told that the cluster is called."""
    call.say(f"Setting cluster name to {name} ...")
    call.change({"do": "set_cluster_name", "name": name})
    call.done()


@ctl_command("forget_cluster_node", "[--offline] <existing_cluster_member_node>", example="n3")
@click.argument("member")
@click.option("--offline", "is_offline", is_flag=True, help="Order it of a stopped node (--node), for its next start.")
def forget_cluster_node(call: Call, member: str, *, is_offline: bool) -> None:
    """Remove a member that does not run, and the queues of which only it had copies.

    With --offline it is a stopped node that forgets it, when it starts; then it goes on without the others.
    """
    gone = node_name(member)
    if is_offline:
        _forget_offline(call, gone)
        return
    call.say(f"Removing node {member} from the cluster")
    if call.named_node is not None and call.state_of(call.named_node) in ("stopped", "failed"):
        raise CtlFailure(Exit.UNAVAILABLE, OFFLINE_NODE)
    still_runs = CtlFailure(
        Exit.UNAVAILABLE,
        f"RabbitMQ on node {member} must be stopped with 'rabbitmqctl -n {member} stop_app' before it can be removed",
    )
    call.change({"do": "forget_member", "node": gone}, running=still_runs, not_found=NOT_A_MEMBER)
    call.done()


def _forget_offline(call: Call, gone: str) -> None:
    node = call.about_node()
    call.say(f"Removing node rabbit@{gone} from the cluster, when rabbit@{node} is started")
    if call.reaches(node):
        call.attempt(
            {"do": "forget_offline", "node": gone},
            running=CtlFailure(Exit.UNAVAILABLE, ONLINE_NODE),
            not_found=NOT_A_MEMBER,
        )
    else:
        from broker.cli.ctl import offline  # it writes as nodes do, with all that they need for it

        offline.order_to_forget(call.cluster(), node, gone)
    call.done()


@ctl_command("rename_cluster_node", "<oldnode1> <newnode1> [oldnode2] [newnode2] ...", example="n3 m3")
@click.argument("names", nargs=-1)
def rename_cluster_node(call: Call, names: tuple[str, ...]) -> None:
    """Give members other names. They must be stopped, and a majority must serve.

    The data folder is renamed with the node, where it is on this machine; cluster.yaml is for people to change.
    """
    from broker.cli.ctl import offline

    if len(names) < 2:
        raise Misuse("not enough arguments.")
    if len(names) % 2:
        raise Misuse("Argument list should contain even number of nodes", Exit.DATA)
    pairs = [(node_name(old), node_name(new)) for old, new in zip(names[::2], names[1::2], strict=True)]
    cluster = call.cluster()
    for old, new in pairs:
        offline.check_renaming(cluster, old, new)
    call.say("Renaming cluster nodes: \n " + "".join(f"rabbit@{old} -> rabbit@{new} \n" for old, new in pairs))
    for old, new in pairs:
        running = CtlFailure(Exit.UNAVAILABLE, f"rabbit@{old} runs: stop it first")
        call.change({"do": "rename_member", "node": old, "name": new}, running=running, not_found=NOT_A_MEMBER)
        offline.rename(cluster, old, new)
    call.done()


@ctl_command("await_online_nodes", "<count>", example="3 --timeout 60")
@click.argument("count", type=click.IntRange(min=1))
def await_online_nodes(call: Call, count: int) -> None:
    """Return when so many members serve."""
    asked = call.chosen_node or "any node"
    seconds = call.seconds(STARTUP_S)
    call.say(f"Will wait for at least {count} nodes to join the cluster of {asked}. Timeout: {seconds:g} seconds.")
    if not call.poll(lambda: sum(answer["state"] == "running" for answer in call.survey().values()) >= count, seconds):
        text = f"Error: timed out while waiting. Not enough nodes joined {asked}'s cluster."
        raise CtlFailure(Exit.SOFTWARE, text, bare=True)
    call.done()


def _rabbit(name: str) -> str:
    return f"rabbit@{name}"
