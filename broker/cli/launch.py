"""`warren up` and `warren down`: a cluster on this machine, in the foreground or behind it.

Decides what must hold before anything is started, and how the supervisor ends. The nodes run under `supervisor`; when
they are ready, `readiness` says.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import click
import trio

from broker.cli import entry
from broker.cli.apply import Done, bring
from broker.cli.failures import Failed
from broker.cli.membership import Membership
from broker.cli.options import find_file, load_cluster, with_cluster, with_timeout
from broker.cli.readiness import become_ready, urls
from broker.cli.road import Road
from broker.cli.run_file import (
    LOG_FILE,
    RUN_FILE,
    RunFile,
    hold_lock,
    is_node,
    supervisor_lives,
    write_resolved,
)
from broker.cli.supervisor import Supervisor
from broker.node.configuration import RESOLVED_FILE, Cluster
from broker.node.configuration_ports import choose_free_ports, is_local, taken_ports

SUPERVISOR_LOG = "supervisor.log"
DOWN_TIMEOUT_S = 60.0

Say = Callable[[str], None]


@click.command(epilog="Example: warren up cluster.yaml --detach --fresh")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The same as the argument.")
@click.option("--detach", is_flag=True, help="Return when the cluster is ready; `warren down` stops it.")
@click.option("--fresh", is_flag=True, help="Forget what earlier runs left in the data folder.")
@click.option("--restart", is_flag=True, help="Start a node again that ended by itself.")
@with_timeout(30.0)
def up(file: Path | None, config: Path | None, *, detach: bool, fresh: bool, restart: bool, timeout_s: float) -> int:
    """Start every node of the cluster on this machine as a process, and set its vhosts, users and policies.

    Runs until Ctrl-C, which stops the nodes in order. A second `up` does what `warren apply` does.
    """
    cluster = load_cluster(file or config)
    folder = cluster.run_folder
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = None if supervisor_lives(folder) else hold_lock(folder)
    except OSError as error:
        raise Failed(f"the data folder {folder} cannot be used: {error.strerror or error}") from error
    if lock is None:
        return _set_again(cluster, fresh=fresh)
    try:
        return _start(cluster, find_file(file or config), timeout_s, detach=detach, fresh=fresh, restart=restart)
    finally:
        os.close(lock)


def _start(cluster: Cluster, file: Path | None, timeout_s: float, *, detach: bool, fresh: bool, restart: bool) -> int:
    folder = cluster.run_folder
    _check_nobody_is_left(folder)
    if fresh:
        _forget(cluster)
    cluster, local = _find_ports(cluster)
    write_resolved(cluster)
    _announce(cluster, local, file)
    release: Callable[[], None] | None = None
    if detach:
        from broker.cli.detachment import fork_supervisor

        code, release = fork_supervisor(folder / SUPERVISOR_LOG)
        if code is not None:
            return code
    return trio.run(partial(_supervise, cluster, local, timeout_s, restart=restart, release=release))


@click.command(epilog="Example: warren down")
@with_cluster
def down(cluster: Cluster) -> None:
    """Stop a running cluster orderly. What it keeps in its data folder stays."""
    folder = cluster.run_folder
    run = RunFile.read(folder)
    if run is None:
        click.echo(f"cluster {cluster.name} does not run here")
        return
    if supervisor_lives(folder):
        Road(cluster).ask_supervisor({"do": "down"})
        _wait_until_not(partial(supervisor_lives, folder), f"the supervisor (pid {run.pid})")
    else:
        left = _left_behind(run)
        for _, pid in left:
            os.kill(pid, signal.SIGTERM)
        for name, pid in left:
            _wait_until_not(partial(is_node, pid, name), f"{name} (pid {pid})")
        (folder / RUN_FILE).unlink(missing_ok=True)
    click.echo(f"cluster {cluster.name} is down")


async def _supervise(
    cluster: Cluster, local: tuple[str, ...], timeout_s: float, *, restart: bool, release: Callable[[], None] | None
) -> int:
    """The life of a supervisor; the exit code of `up`."""
    from broker.cli.live import Screen

    screen = Screen(cluster, enabled=release is None and sys.stdout.isatty())
    config = str(cluster.run_folder / RESOLVED_FILE)
    supervisor = Supervisor(cluster, partial(node_command, config), screen.say, local=local, restart=restart)
    failure: Failed | None = None

    def let_in(members: Collection[str]) -> list[str]:
        """The nodes that the file names and the cluster does not have yet; the reverse is only told."""
        if gone := [name for name in members if name not in cluster.names]:
            screen.say(f"not in the file: {', '.join(gone)}, of the cluster though (`warren apply --prune` removes it)")
        if all(name in members for name in cluster.names):
            return []
        try:
            return Membership(Road(cluster), screen.say).join(cluster)
        except Failed as failed:  # the others serve: what keeps this one out is for people to mend
            screen.say(failed.message)
            return []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_obey_signals, supervisor, screen.say, nursery.cancel_scope)
        await nursery.start(_run_to_its_end, supervisor, nursery.cancel_scope)
        try:
            # In a thread of its own: it asks the nodes, and also this supervisor, and waits for their answers.
            ready = await trio.to_thread.run_sync(
                partial(
                    become_ready,
                    Road(cluster),
                    supervisor.processes,
                    timeout_s,
                    lambda: monotonic() - entry.STARTED_S,
                    let_in,
                    restarts=restart,
                ),
                abandon_on_cancel=True,
            )
        except Failed as error:
            failure = error
            supervisor.done.set()
        else:
            for name, process in supervisor.processes.items():
                if process.ready.is_set():
                    screen.say("  ".join((name, *urls(cluster, process.doors))))
            screen.say(ready)
            if release is not None:
                release()
            nursery.start_soon(screen.run)
    if failure is not None:
        raise failure
    return 1 if supervisor.ended_by_itself else 0


async def _run_to_its_end(
    supervisor: Supervisor, everything: trio.CancelScope, task_status: trio.TaskStatus[None]
) -> None:
    await supervisor.run(task_status)
    everything.cancel()


async def _obey_signals(supervisor: Supervisor, say: Say, everything: trio.CancelScope) -> None:
    """Ctrl-C (and its kin) stops the nodes in order; a second one kills them."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as received:
        async for _ in received:
            if supervisor.done.is_set():
                say("killing what still runs")
                everything.cancel()
                return
            say("stopping (once more kills)")
            supervisor.done.set()


def node_command(config: str, name: str) -> list[str]:
    """How a node is started."""
    return [sys.executable, "-m", "broker", "node", name, "--config", config]


def _announce(cluster: Cluster, local: tuple[str, ...], file: Path | None) -> None:
    data = "memory" if cluster.data is None else str(cluster.data)
    source = f"from {file}" if file is not None else "with all defaults, there being no cluster.yaml"
    click.echo(f"starting cluster {cluster.name} {source}: {', '.join(local)} (data in {data})")
    if remote := [name for name in cluster.names if name not in local]:
        click.echo(f"not of this machine, so not started: {', '.join(remote)} (there: `warren node NAME`)")


def _find_ports(cluster: Cluster) -> tuple[Cluster, tuple[str, ...]]:
    """The cluster with every port known, and the nodes whose addresses are this machine's."""
    local = tuple(node.name for node in cluster.nodes if is_local(node.link))
    if not local:
        raise Failed("none of the nodes' link addresses is one of this machine")
    if len(local) < len(cluster.nodes) and any(node.link.port == 0 for node in cluster.nodes):
        raise Failed("port 0 is only known on this machine: give every link a port, for the other machines to find it")
    try:
        cluster = choose_free_ports(cluster)
    except OSError as error:
        raise Failed(f"no free port can be had: {error.strerror or error}") from error
    if taken := [line for name in local for line in taken_ports(cluster.node(name))]:
        raise Failed("\n".join(taken))
    return cluster, local


def _check_nobody_is_left(folder: Path) -> None:
    run = RunFile.read(folder)
    if run is not None and (left := _left_behind(run)):
        names = ", ".join(f"{name} (pid {pid})" for name, pid in left)
        raise Failed(f"{names} still runs although its supervisor is gone: `warren down` ends it")


def _left_behind(run: RunFile) -> list[tuple[str, int]]:
    return [(name, node.pid) for name, node in run.nodes.items() if node.pid is not None and is_node(node.pid, name)]


def _forget(cluster: Cluster) -> None:
    """Removes the nodes' folders, and nothing that does not look like one."""
    for name in cluster.names:
        folder = cluster.run_folder / name
        if folder.is_dir() and any(folder.iterdir()) and not (folder / LOG_FILE).exists():
            raise Failed(f"--fresh: {folder} does not look like the folder of a node: nothing was removed")
    for name in cluster.names:
        shutil.rmtree(cluster.run_folder / name, ignore_errors=True)


def _set_again(cluster: Cluster, *, fresh: bool) -> int:
    """What `up` does to a cluster that runs already."""
    if fresh:
        raise Failed(f"--fresh: cluster {cluster.name} runs: `warren down` first")
    road = Road(cluster)
    bring(road, Done(click.echo), prune=False)
    pid = road.run.pid if road.run is not None else None
    click.echo(f"cluster {cluster.name} runs already (supervisor pid {pid}); it has what the file names")
    return 0


def _wait_until_not(condition: Callable[[], bool], what: str) -> None:
    deadline_s = monotonic() + DOWN_TIMEOUT_S
    while condition():
        if monotonic() > deadline_s:
            raise Failed(f"{what} did not stop within {DOWN_TIMEOUT_S:g} s")
        sleep(0.02)
