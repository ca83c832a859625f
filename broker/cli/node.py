"""`warren node`: one node in the foreground, as the supervisor, systemd and containers start it.

Decides what is told about a node that cannot be run from this file; the rest is `broker.node`.
"""

from contextlib import suppress

import click

from broker.cli.failures import Misused
from broker.cli.options import with_checked_cluster
from broker.cli.run_file import supervisor_lives, write_resolved
from broker.cluster.refusal import Refused
from broker.node.configuration import Cluster
from broker.peers.links import check_cuts


@click.command(epilog="Example: warren node n1 --config cluster.yaml")
@click.argument("name")
@click.option(
    "--block", "blocks", multiple=True, metavar="NODE:both|in|out", help="Drop the traffic of a link, to start with."
)
@with_checked_cluster
def node(cluster: Cluster, name: str, blocks: tuple[str, ...]) -> int:
    """Run the node NAME of the cluster until it is told to stop (SIGTERM, Ctrl-C)."""
    if name not in cluster.names:
        raise Misused(f"there is no node {name} in {cluster.file or 'the default cluster'}: {', '.join(cluster.names)}")
    if len(cluster.nodes) > 1 and any(one.link.port == 0 for one in cluster.nodes):
        raise Misused("port 0 for a link is only possible with `warren up`: the other nodes would not find it")
    cut: dict[str, str] = {}
    for block in blocks:
        peer, _, direction = block.partition(":")
        cut[peer] = direction
    try:
        check_cuts(cut, set(cluster.names) - {name})
    except Refused as refusal:
        raise click.UsageError(f"--block {refusal}") from None
    if not supervisor_lives(cluster.run_folder):  # which leaves for commands what it has read
        with suppress(OSError):  # they do without; whether the folder is of use, the node says
            cluster.run_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_resolved(cluster)
    from broker.node.entry import run_node

    return run_node(cluster, name, cut)
