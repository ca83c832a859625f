"""`warren queues`, `sync`, `cancel-sync`, `promote`: queues and their copies.

Decides what is shown and asked; the nodes do it.
"""

import click

from broker.cli.failures import Failed
from broker.cli.options import print_json, with_cluster, with_json, with_vhost
from broker.cli.road import Road, ask_cluster
from broker.cli.status import QUEUE_COLUMNS, fetch_status, queue_rows
from broker.cli.tables import print_table
from broker.node.configuration import Cluster

MOVE_TIMEOUT_S = 330.0
"""A little longer than a node waits for a mirror to be filled."""


@click.command(epilog="Example: warren queues --json | jq '.queues[].unsynchronised'")
@with_cluster
@with_json
def queues(cluster: Cluster, *, as_json: bool) -> None:
    """Show the queues, where their copies are, and how many messages an unsynchronised mirror lacks."""
    found = fetch_status(Road(cluster))
    if all(node["state"] != "running" for node in found["nodes"]):
        raise Failed(f"no node of cluster {cluster.name} serves clients")
    if as_json:
        print_json({"queues": found["queues"]})
        return
    print_table("queues", QUEUE_COLUMNS, queue_rows(found["queues"]))
    for queue in found["queues"]:
        if queue["reason"]:
            click.echo(f"{queue['name']}: {queue['reason']}")


@click.command(epilog="Example: warren sync orders && warren wait synchronised orders")
@click.argument("queue")
@with_vhost
@with_cluster
def sync(cluster: Cluster, queue: str, vhost: str) -> None:
    """Start to bring every mirror of a queue up to date, while the queue works on."""
    state = ask_cluster(cluster, {"do": "sync", "vhost": vhost, "queue": queue})["state"]
    click.echo(f"{queue} is {state}" + (" already" if state == "synchronised" else ""))


@click.command("cancel-sync", epilog="Example: warren cancel-sync orders")
@click.argument("queue")
@with_vhost
@with_cluster
def cancel_sync(cluster: Cluster, queue: str, vhost: str) -> None:
    """Stop bringing the mirrors of a queue up to date; what has arrived stays."""
    state = ask_cluster(cluster, {"do": "cancel_sync", "vhost": vhost, "queue": queue})["state"]
    click.echo(f"the synchronisation of {queue} is cancelled" if state == "cancelled" else f"{queue} is not syncing")


@click.command(epilog="Example: warren promote orders n2")
@click.argument("queue")
@click.argument("node")
@with_vhost
@with_cluster
def promote(cluster: Cluster, queue: str, node: str, vhost: str) -> None:
    """Make the copy on NODE the master of a queue.

    A queue that runs loses nothing: the copy is filled first if it lacks something. Of a queue that waits for a node
    which will not come back, what only the missing nodes had is given up.
    """
    answer = ask_cluster(cluster, {"do": "promote", "vhost": vhost, "queue": queue, "node": node}, MOVE_TIMEOUT_S)
    missing = "messages may be missing" if answer["missing"] is None else f"{answer['missing']} messages missing"
    click.echo(f"{queue}: {answer['from']} -> {answer['to']}, {missing}")
