"""Makes one picture of the cluster from what each node says of itself and what the supervisor knows of its processes.

Decides whose word counts: a node's about itself, the master's about a queue, the supervisor's about a process that is
silent. Pure.
"""

from collections.abc import Collection, Mapping
from typing import Any

from broker.cli.vocabulary import NodeRow, Partition, QueueRow, Status
from broker.node.configuration import Cluster

Answers = Mapping[str, Mapping[str, Any] | None]

SERVED = ("running", "syncing", "paused")
"""States of a queue that has a master: one that is paused takes messages, and its mirrors are filled."""


def merge_status(cluster: Cluster, answers: Answers, processes: Mapping[str, Mapping[str, Any]]) -> Status:
    """`status --json`. `answers`: each node's status, None for the silent; `processes`: empty without a supervisor."""
    living = {name: answer for name, answer in answers.items() if answer is not None and "error" not in answer}
    drained, teller = _drained(living), _spokesman(living)
    members = list(members_of(living)) or list(cluster.names)
    return {
        "cluster": cluster.name,
        "members": members,
        "nodes": [_node(cluster, name, living.get(name), processes.get(name), drained) for name in answers],
        "queues": _queues({name: answer for name, answer in living.items() if name in members}),
        "partition_handling": teller.get("partition_handling") or cluster.partition_handling.in_effect(cluster.names),
        "majority": teller.get("majority") or len(cluster.names) // 2 + 1,
        "partitions": _partitions(living),
    }


def _partitions(living: Mapping[str, Mapping[str, Any]]) -> list[Partition]:
    """Two that serve without each other have parted, though neither may hear of the other."""
    views = {name: set(answer.get("view", ())) for name, answer in living.items() if answer["state"] == "running"}
    found = []
    for name, answer in living.items():
        parted = set(answer.get("parted_from", ()))
        if view := views.get(name):
            parted |= {other for other, others in views.items() if others and not others & view}
        if parted or answer.get("cut_from"):
            found.append(Partition(node=name, cut_from=sorted(answer["cut_from"]), parted_from=sorted(parted)))
    return found


def _drained(living: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Who is in maintenance, as the node with the newest epoch knows."""
    newest = max(living.values(), key=lambda answer: answer.get("epoch") or 0, default={})
    return {name for name, member in newest.get("members", {}).items() if member.get("drained")}


def members_of(living: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The members, as the node tells them that is furthest; {} if none knows of any."""
    members: dict[str, dict[str, Any]] = _spokesman(living).get("members") or {}
    return members


def _spokesman(living: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The answer of the node that is furthest; {} if none knows of any members."""
    told = [answer for answer in living.values() if answer.get("members")]
    # A node that was reset is a cluster of its own: it does not speak for those whom it has left.
    return max(
        told,
        key=lambda answer: (answer.get("state") == "running", len(answer["members"]), answer.get("epoch") or 0),
        default={},
    )


def _node(
    cluster: Cluster,
    name: str,
    answer: Mapping[str, Any] | None,
    process: Mapping[str, Any] | None,
    drained: Collection[str],
) -> NodeRow:
    doors = process or _doors(cluster, name)
    row = NodeRow(
        name=name,
        state="unreachable",
        reason=None,
        pid=None,
        life=None,
        role=None,
        epoch=None,
        amqp=doors["amqp"],
        amqps=doors.get("amqps"),
        http=doors["http"],
        https=doors.get("https"),
        link=doors["link"],
        uptime_s=None,
        memory_bytes=None,
        alarms=[],
        fsync=None,
        maintenance=name in drained,
    )
    if answer is not None:
        for key in (
            "state",
            "reason",
            "pid",
            "life",
            "role",
            "epoch",
            "amqp",
            "amqps",
            "http",
            "https",
            "link",
            "uptime_s",
            "memory_bytes",
            "alarms",
            "fsync",
        ):
            if key in answer:
                row[key] = answer[key]
    elif process is not None:
        # A running process that does not answer is not known to be well: it stays "unreachable".
        if process["state"] != "running":
            row["state"] = process["state"]
        row["reason"] = process["reason"]
        row["pid"] = process["pid"]
    return row


def _doors(cluster: Cluster, name: str) -> Mapping[str, Any]:
    """Where the file says that it listens; a member that is not in the file tells it itself, or nobody knows."""
    if name not in cluster.names:
        return {"amqp": "", "http": "", "link": ""}
    return {door: str(address) for door, address in cluster.node(name).doors.items()}


def _queues(living: Mapping[str, Mapping[str, Any]]) -> list[QueueRow]:
    """Every queue once: as its master tells it, else as the node with the newest epoch does."""
    newest_last = sorted(
        living, key=lambda name: (living[name].get("epoch") or 0, living[name].get("role") == "leader")
    )
    rows: dict[tuple[str, str], QueueRow] = {}
    for name in newest_last:
        for row in living[name].get("queues", ()):
            rows[row["vhost"], row["name"]] = row
    for name in newest_last:
        for row in living[name].get("queues", ()):
            if rows[row["vhost"], row["name"]]["master"] == row["master"] == name:
                rows[row["vhost"], row["name"]] = row
    return [rows[key] for key in sorted(rows)]


def lacking_synchronisation(queues: list[QueueRow], wanted: str | None, vhost: str) -> list[str]:
    """What is missing until all mirrored queues, or the wanted one, are synchronised; empty: they are."""
    found = []
    for row in queues:
        if wanted is not None and (row["name"], row["vhost"]) != (wanted, vhost):
            continue
        name = row["name"]
        if row["mirrors"] is None or row["in_sync"] is None:
            if wanted is not None:
                found.append(f"{name} is not mirrored: no policy with ha-mode matches it")
        elif row["state"] not in SERVED:
            found.append(f"{name} is {row['state']}" + (f": {row['reason']}" if row["reason"] else ""))
        elif missing := [mirror for mirror in row["mirrors"] if mirror not in row["in_sync"]]:
            lacks = row["unsynchronised"]
            shown = (
                f"{mirror} ({lacks[mirror]} messages missing)" if lacks.get(mirror) else mirror for mirror in missing
            )
            found.append(f"{name} is not synchronised on {', '.join(shown)}")
    if wanted is not None and not any((row["name"], row["vhost"]) == (wanted, vhost) for row in queues):
        found.append(f"there is no queue {wanted} in vhost {vhost}")
    return found


def lacking_masters(status: Status) -> list[str]:
    """The queues that no living master serves at the moment, with the reason; empty: all are served."""
    living = {node["name"] for node in status["nodes"] if node["state"] == "running"}
    return [
        f"{row['name']} is {row['state']}" + (f": {row['reason']}" if row["reason"] else "")
        for row in status["queues"]
        if row["master"] not in living or row["state"] not in SERVED
    ]


def lacking_readiness(status: Status) -> list[str]:
    """The nodes that should serve and do not; a node that was stopped, killed or frozen by a command need not."""
    down = ("stopped", "killed", "frozen")
    found = [
        f"{node['name']} is {node['state']}" + (f": {node['reason']}" if node["reason"] else "")
        for node in status["nodes"]
        if node["state"] != "running" and node["state"] not in down
    ]
    if not found and not any(node["state"] == "running" for node in status["nodes"]):
        found = ["no node runs"]
    return found
