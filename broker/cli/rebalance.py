"""`warren rebalance`: spread the masters of mirrored queues, so that no node has more than its share.

Decides what is asked and how the result is shown; a node does it, one move after the other.
"""

import click

from broker.cli.options import print_json, with_cluster, with_json
from broker.cli.road import Road
from broker.cli.tables import print_table
from broker.node.configuration import Cluster

TIMEOUT_S = 3600.0
"""Mirrors that lack something are filled before a master moves to them."""
COLUMNS = ("node", "classic", "quorum")


@click.command(epilog="Example: warren rebalance --queue-pattern '^orders'")
@click.argument("kind", required=False, default="all", type=click.Choice(["all", "classic", "quorum"]))
@click.option("--vhost-pattern", default=".*", help="Only in vhosts whose name matches.")
@click.option("--queue-pattern", default=".*", help="Only queues whose name matches.")
@with_cluster
@with_json
def rebalance(cluster: Cluster, kind: str, vhost_pattern: str, queue_pattern: str, *, as_json: bool) -> None:
    """Spread the masters of mirrored queues over the nodes that are not in maintenance.

    A master moves only to a mirror that holds everything, those with the fewest messages first. Clients go on working.
    """
    request = {"do": "rebalance", "type": kind, "vhost_pattern": vhost_pattern, "queue_pattern": queue_pattern}
    answer = Road(cluster).ask_any(request, TIMEOUT_S)
    if as_json:
        print_json(answer)
        return
    for move in answer["moved"]:
        click.echo(f"{move['queue']}: {move['from']} -> {move['to']}")
    for move in answer["failed"]:
        click.echo(f"{move['queue']} stays on {move['from']}: {move['why']}")
    if not answer["rows"]:
        click.echo("no mirrored queue")
    else:
        print_table("masters", COLUMNS, [[row[column] for column in COLUMNS] for row in answer["rows"]])
