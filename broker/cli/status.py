"""`warren status`: nodes, queues and partitions, as every living node tells it.

Decides what is shown; `merging` decides whose word counts.
"""

from typing import Any

import click

from broker.cli.exchange import Silent
from broker.cli.failures import Failed
from broker.cli.merging import members_of, merge_status
from broker.cli.options import print_json, with_cluster, with_json
from broker.cli.road import STATUS_TIMEOUT_S, Road
from broker.cli.tables import megabytes, print_table, seconds
from broker.cli.vocabulary import Partition, QueueRow, Status
from broker.cluster.partitions import IGNORE, PAUSE_MINORITY
from broker.node.configuration import Cluster

ASKED_STATES = ("starting", "running")
NODE_COLUMNS = ("node", "state", "pid", "role", "epoch", "amqp", "http", "link", "uptime", "memory", "fsync")
QUEUE_COLUMNS = ("queue", "vhost", "state", "master", "mirrors", "in sync", "lacking", "messages", "policy")


@click.command(epilog="Example: warren status --json | jq '.queues[] | {name, master}'")
@with_cluster
@with_json
def status(cluster: Cluster, *, as_json: bool) -> None:
    """Show nodes, queues and partitions. Fails if no node answers."""
    found = fetch_status(Road(cluster))
    if as_json:
        print_json(found)
    else:
        _print(found)
    if all(node["state"] != "running" for node in found["nodes"]):
        raise Failed(f"no node of cluster {cluster.name} serves clients")


def fetch_status(road: Road, *, queues: bool = True) -> Status:
    """The merged picture; silent nodes have their place in it."""
    processes: dict[str, Any] = {}
    if road.has_supervisor:
        processes = road.ask_supervisor({"do": "processes"})["nodes"]
    # A frozen node takes the connection and never answers: it is not waited for if that is known.
    asked = [name for name in road.names if name not in processes or processes[name]["state"] in ASKED_STATES]
    question = {"do": "status", "queues": queues}
    answers = road.ask_all(question, STATUS_TIMEOUT_S, asked)
    members = members_of({name: answer for name, answer in answers.items() if not isinstance(answer, Silent)})
    if unknown := road.learn({name: facts["link"] for name, facts in members.items()}):
        answers |= road.ask_all(question, STATUS_TIMEOUT_S, unknown)
    heard = {name: None if isinstance(answer := answers.get(name), Silent) else answer for name in road.names}
    return merge_status(road.cluster, heard, processes)


def node_rows(found: Status) -> list[list[Any]]:
    """The nodes as rows of NODE_COLUMNS."""
    return [
        [
            node["name"],
            node["state"],
            node["pid"],
            node["role"],
            node["epoch"],
            " ".join(filter(None, (node["amqp"], node["amqps"]))),
            node["http"],
            node["link"],
            seconds(node["uptime_s"]),
            megabytes(node["memory_bytes"]),
            node["fsync"],
        ]
        for node in found["nodes"]
    ]


def queue_rows(queues: list[QueueRow]) -> list[list[Any]]:
    """Queues as rows of QUEUE_COLUMNS."""
    return [
        [
            queue["name"],
            queue["vhost"],
            queue["state"] if queue["sync_percent"] is None else f"{queue['state']} {queue['sync_percent']}%",
            queue["master"],
            queue["mirrors"],
            queue["in_sync"],
            queue["unsynchronised"],
            queue["messages"],
            queue["policy"],
        ]
        for queue in queues
    ]


def reasons(found: Status) -> list[str]:
    """Why nodes and queues are not as they should be, one line each."""
    lines = [f"{node['name']}: {node['reason']}" for node in found["nodes"] if node["reason"]]
    lines += [
        f"{node['name']}: of another cluster than {' '.join(found['members'])}"
        for node in found["nodes"]
        if node["state"] == "running" and node["name"] not in found["members"]
    ]
    lines += [
        f"{node['name']}: in maintenance (`warren ctl revive --node {node['name']}` ends it)"
        for node in found["nodes"]
        if node["maintenance"]
    ]
    lines += [f"{node['name']}: low on {' & '.join(node['alarms'])}" for node in found["nodes"] if node["alarms"]]
    lax = ", ".join(node["name"] for node in found["nodes"] if node["fsync"] not in (None, "always"))
    lines += [f"{lax}: confirmed messages may be lost if the machine fails: fsync is not always"] if lax else []
    lines += [f"queue {queue['name']}: {queue['reason']}" for queue in found["queues"] if queue["reason"]]
    cuts = [cut for cut in found["partitions"] if cut["cut_from"]]
    lines += [f"{cut['node']} does not hear {', '.join(cut['cut_from'])}" for cut in cuts]
    return lines + _partings(found)


def _partings(found: Status) -> list[str]:
    """Each pair of histories once, with what can be done."""
    sides = {(tuple(_together(found, cut)), tuple(cut["parted_from"])) for cut in found["partitions"]}
    lines = []
    for here, there in sorted(sides):
        if there and here < there:
            lines.append(
                f"{' '.join(here)} and {' '.join(there)} went on without each other: queues have two masters "
                f"(partition_handling: {found['partition_handling']})"
            )
    if lines and found["partition_handling"] == IGNORE:
        lines.append("`warren stop` all nodes of one side, then start them: what the others do not have is set aside")
    return lines


def _together(found: Status, cut: Partition) -> list[str]:
    """The nodes that have parted from the same ones."""
    return sorted(other["node"] for other in found["partitions"] if other["parted_from"] == cut["parted_from"])


def _print(found: Status) -> None:
    there = len(found["members"])
    running = sum(node["state"] == "running" and node["name"] in found["members"] for node in found["nodes"])
    mode, majority = found["partition_handling"], found["majority"]
    needed = f"{majority} {'is' if majority == 1 else 'are'} a majority"
    rule = needed if mode == PAUSE_MINORITY else f"partition_handling: {mode}"
    click.echo(f"cluster {found['cluster']}: {running} of {there} nodes run, {rule}")
    print_table("", NODE_COLUMNS, node_rows(found))
    if found["queues"]:
        click.echo()
        print_table("", QUEUE_COLUMNS, queue_rows(found["queues"]))
    for line in reasons(found):
        click.echo(line)
