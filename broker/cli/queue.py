"""`warren queue pause` and `resume`: an operator holds a queue back for a while.

Decides what is asked and said; the cluster remembers it.
"""

import click

from broker.cli.lazy_group import LazyGroup
from broker.cli.options import with_cluster, with_vhost
from broker.cli.road import ask_cluster
from broker.node.configuration import Cluster

COMMANDS = {
    "pause": ("broker.cli.queue:pause", "Give nothing out any more; publishers go on."),
    "resume": ("broker.cli.queue:resume", "Give out again."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, epilog="Example: warren queue pause orders")
def queue() -> None:
    """Hold a queue back from its consumers, and let it go on."""


@click.command(epilog="Example: warren queue pause orders && warren browse orders && warren queue resume orders")
@click.argument("name", metavar="QUEUE")
@with_vhost
@with_cluster
def pause(cluster: Cluster, name: str, vhost: str) -> None:
    """Give no consumer anything of QUEUE, and nothing to basic.get, until `warren queue resume`.

    Publishers are confirmed as ever, what is out may be acknowledged and rejected, what comes back waits; times to
    live, limits and dead letters go on. It holds over restarts and changes of master.
    """
    _set(cluster, vhost, name, paused=True)


@click.command(epilog="Example: warren queue resume orders --vhost /shop")
@click.argument("name", metavar="QUEUE")
@with_vhost
@with_cluster
def resume(cluster: Cluster, name: str, vhost: str) -> None:
    """Give messages of QUEUE out again."""
    _set(cluster, vhost, name, paused=False)


def _set(cluster: Cluster, vhost: str, name: str, *, paused: bool) -> None:
    request = {"do": "pause_queue", "vhost": vhost, "queue": name, "paused": paused}
    changed = ask_cluster(cluster, request)["changed"]
    click.echo(f"{name} {'is' if changed else 'was already'} {'paused' if paused else 'running'}")
