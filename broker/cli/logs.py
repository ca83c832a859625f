"""`warren logs`: what the nodes of this machine wrote.

Decides which lines are shown. It reads files, so it works for nodes that are dead, too.
"""

import time
from collections import deque
from pathlib import Path

import click

from broker.cli.failures import Failed
from broker.cli.options import with_cluster
from broker.cli.run_file import LOG_FILE
from broker.node.configuration import Cluster

POLL_S = 0.1


@click.command(epilog="Example: warren logs n2 --follow")
@click.argument("name", required=False, metavar="[NODE]")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("-n", "count", default=100, show_default=True, type=click.IntRange(0), help="The last N lines of each.")
@with_cluster
def logs(cluster: Cluster, name: str | None, count: int, *, follow: bool) -> None:
    """Show the last lines that a node wrote, or all of them, each with its node's name."""
    if name is not None and name not in cluster.names:
        raise Failed(f"there is no node {name}: {', '.join(cluster.names)}")
    tails = [
        Tail(cluster.run_folder / node / LOG_FILE, "" if name is not None else f"{node} | ")
        for node in ((name,) if name is not None else cluster.names)
    ]
    if not follow and not any(tail.path.exists() for tail in tails):
        raise Failed(f"nothing was written yet in {cluster.run_folder}")
    for tail in tails:
        for line in tail.last(count):
            click.echo(line)
    try:
        while follow:
            for tail in tails:
                for line in tail.fresh():
                    click.echo(line)
            time.sleep(POLL_S)  # a file does not say that it grew, and nothing else runs in this command
    except KeyboardInterrupt:
        return


class Tail:
    """The end of one log file, also one that is cut short or comes later."""

    def __init__(self, path: Path, prefix: str) -> None:
        self.path = path
        self._prefix = prefix
        self._offset = 0

    def last(self, count: int) -> list[str]:
        """The last lines; `fresh` goes on behind them."""
        return list(deque(self.fresh(), maxlen=count))

    def fresh(self) -> list[str]:
        """The whole lines that were written since."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [self._prefix + line for line in whole.decode("utf-8", "replace").splitlines()]
