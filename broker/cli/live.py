"""What `warren up` shows while it runs: lines, and below them on a terminal a table that follows the cluster.

Decides how, and how often. It must not know how nodes are run.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

import click
import trio

from broker.cli.failures import Failed
from broker.cli.road import Road
from broker.cli.status import NODE_COLUMNS, QUEUE_COLUMNS, fetch_status, node_rows, queue_rows
from broker.cli.tables import rich_table
from broker.node.configuration import Cluster

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

REFRESH_S = 1.0
QUEUES_SHOWN_MAX = 12


class Screen:
    """The terminal of `warren up`, or plain lines."""

    def __init__(self, cluster: Cluster, *, enabled: bool) -> None:
        self._cluster = cluster
        self._enabled = enabled
        self._live: Live | None = None

    def say(self, line: str) -> None:
        """One line, above the table if there is one."""
        # Whoever read our lines may have gone, with the terminal or a pipe; the nodes are not to die of it.
        with suppress(OSError):
            if self._live is not None:
                self._live.console.print(line, highlight=False, markup=False)
            else:
                click.echo(line)

    async def run(self) -> None:
        """Follows the cluster until cancelled."""
        if not self._enabled:
            return
        from rich.live import Live

        with Live(auto_refresh=False) as self._live:
            try:
                while True:
                    with suppress(Failed):
                        self._live.update(await self._tables(), refresh=True)
                    await trio.sleep(REFRESH_S)
            finally:
                self._live = None

    async def _tables(self) -> "Group":
        from rich.console import Group

        status = await trio.to_thread.run_sync(fetch_status, Road(self._cluster), abandon_on_cancel=True)
        tables = [rich_table(f"cluster {status['cluster']}", NODE_COLUMNS, node_rows(status))]
        if status["queues"]:
            rows = queue_rows(status["queues"][:QUEUES_SHOWN_MAX])
            more = len(status["queues"]) - len(rows)
            tables.append(rich_table("queues" + (f" (and {more} more)" if more > 0 else ""), QUEUE_COLUMNS, rows))
        return Group(*tables)
