"""Runs the nodes of a cluster as processes, tells what happens to them, and obeys the commands that come to its port.

Decides who is started, stopped and (if told so) restarted, and what is said about a death. It does not look into the
cluster: whether the nodes serve clients is asked in `readiness`. Its tree:

    supervisor
    ├─ port        commands: kill, stop, start, restart, freeze, thaw, adopt, release, block, unblock, down
    ├─ logs        kept within their limit
    └─ watch × living node
"""

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from broker.cli.processes import NodeProcess
from broker.cli.run_file import RUN_FILE, RunFile, RunningNode, write_resolved
from broker.cluster.asked import ask, ask_each
from broker.cluster.refusal import Refused
from broker.node.configuration import Address, Cluster
from broker.node.configuration_ports import choose_free_ports, is_local, taken_ports
from broker.peers.introduction import Credentials, Identity
from broker.peers.links import check_cuts
from broker.peers.reception import Reception
from broker.world.network import TcpNetwork

STOP_GRACE_S = 20.0
START_GRACE_S = 30.0
LONELY_START_GRACE_S = 1.0
"""So long is watched whether a node that has to wait for others at least lives."""
LOG_CHECK_S = 5.0
RESTART_PAUSE_FIRST_S = 0.1
RESTART_PAUSE_MAX_S = 5.0


class Refusal(Exception):
    """A command that cannot be obeyed; the text says why."""


class Supervisor:
    """The processes of one cluster. `say` gets one line for each thing that happens."""

    def __init__(
        self,
        cluster: Cluster,
        command: Callable[[str], list[str]],
        say: Callable[[str], None],
        *,
        local: tuple[str, ...],
        restart: bool = False,
    ) -> None:
        self.cluster = cluster
        self.processes = {
            name: NodeProcess(cluster.node(name), cluster.run_folder / name, command(name)) for name in local
        }
        self._command = command
        self.ended_by_itself = False
        self.done = trio.Event()
        self._say = say
        self._restart = restart
        self._blocks: dict[str, dict[str, str]] = {}
        self._begun: dict[str, tuple[Any, ...]] = {}
        """By name what a node was started with, see `_terms`."""
        self._port = 0
        self._nursery: trio.Nursery | None = None
        self._verbs: dict[str, Callable[[NodeProcess], Awaitable[dict[str, Any]]]] = {
            "kill": partial(self._signal, signal.SIGKILL),
            "freeze": partial(self._signal, signal.SIGSTOP),
            "thaw": partial(self._signal, signal.SIGCONT),
            "stop": self.stop,
            "start": self.start,
            "restart": self.restart,
        }

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `done` is set; the nodes are started on the way, and stopped in the end."""
        listener = await TcpNetwork().listen("127.0.0.1:0")
        self._port = int(listener.address.rpartition(":")[2])
        credentials = Credentials(
            Identity("supervisor", os.getpid(), ""), cluster=self.cluster.name, cookie=self.cluster.cookie
        )
        reception = Reception(credentials, {}, {}, tls=None, admin=self.obey)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(reception.run, listener)
                nursery.start_soon(self._shorten_logs)
                for process in self.processes.values():
                    await self._try_to_launch(process)
                task_status.started()
                await self.done.wait()
                await self._stop_all()
                nursery.cancel_scope.cancel()
        finally:
            listener.close_now()
            for process in self.processes.values():
                if process.is_alive():
                    process.send(signal.SIGKILL)
            (self.cluster.run_folder / RUN_FILE).unlink(missing_ok=True)

    async def obey(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers one command (see `vocabulary`)."""
        try:
            return await self._carry_out(request)
        except (Refusal, Refused) as reason:
            return {"error": str(reason)}

    async def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.get("do"):
            case "processes":
                return {"nodes": {name: process.describe() for name, process in self.processes.items()}}
            case "down":
                self.done.set()
                return {"stopping": [name for name, process in self.processes.items() if process.is_alive()]}
            case "adopt":
                return await self._adopt(Cluster.from_json(ask(request, "cluster", dict)))
            case "release":
                return self._release(ask(request, "node", str))
            case "block":
                blocks = ask_each(request, "blocks", dict)
                for name in blocks:
                    check_cuts(ask_each(blocks, name, str), set(self.cluster.names) - {name})
                for name, peers in blocks.items():
                    self._blocks[name] = self._blocks.get(name, {}) | peers
                return {}
            case "unblock":
                self._blocks.clear()
                return {}
            case str() as verb if verb in self._verbs:
                name = ask(request, "node", str)
                if name not in self.processes:
                    raise Refusal(f"there is no node {name} on this machine: {', '.join(self.processes)}")
                return await self._verbs[verb](self.processes[name])
            case other:
                raise Refusal(f"the supervisor does not know the command {other!r}")

    async def _adopt(self, file: Cluster) -> dict[str, Any]:
        """The file has changed: start the nodes of this machine that are new in it. What nodes that are known listen on
        stays as it is; everything else counts from their next start."""
        settings = {node.name: node.settings for node in file.nodes}
        known = [replace(node, settings=settings.get(node.name, node.settings)) for node in self.cluster.nodes]
        new = [node for node in file.nodes if node.name not in self.cluster.names]
        local = {node.name for node in new if is_local(node.link)}
        try:
            new = list(choose_free_ports(replace(file, nodes=tuple(new))).nodes)
        except OSError as error:
            raise Refusal(f"no free port can be had: {error.strerror or error}") from error
        if taken := [line for node in new if node.name in local for line in taken_ports(node)]:
            raise Refusal("; ".join(taken))
        is_all = {node.name for node in (*known, *new)} == set(file.names)
        self.cluster = replace(file, nodes=(*known, *new), fingerprint=file.fingerprint if is_all else "")
        write_resolved(self.cluster)
        for node in new:
            if node.name in local:
                folder = self.cluster.run_folder / node.name
                self.processes[node.name] = NodeProcess(node, folder, self._command(node.name))
                self._say(f"{node.name} is new in the file, and started")
                await self._launch(self.processes[node.name])
        self.write_run_file()
        links = {name: process.doors["link"] for name, process in self.processes.items()}
        outdated = [
            name for name in links if self.processes[name].is_alive() and self._begun[name] != self._terms(name)
        ]
        return {"links": links, "started": [node.name for node in new if node.name in local], "outdated": outdated}

    def _terms(self, name: str) -> tuple[Any, ...]:
        """What counts for a node from its start on only."""
        return self.cluster.node(name).settings, self.cluster.partition_handling, self.cluster.tls

    def _release(self, name: str) -> dict[str, Any]:
        """A node has left the cluster."""
        if name in self.processes and self.processes[name].is_alive():
            raise Refusal(f"{name} runs (pid {self.processes[name].pid}): stop it first")
        self.processes.pop(name, None)
        staying = tuple(node for node in self.cluster.nodes if node.name != name)
        self.cluster = replace(self.cluster, nodes=staying, fingerprint="")
        write_resolved(self.cluster)
        self.write_run_file()
        return {}

    async def start(self, process: NodeProcess) -> dict[str, Any]:
        """Starts a node that does not run. Waits until it is ready, unless too few nodes run for any to be."""
        name = process.node.name
        if process.is_alive():
            raise Refusal(f"{name} runs already (pid {process.pid})")
        await self._launch(process)
        pid = process.pid
        grace_s = START_GRACE_S if self._is_sure_to_serve() else LONELY_START_GRACE_S
        with trio.move_on_after(grace_s):
            async with trio.open_nursery() as nursery:
                for event in (process.ready, process.failed, process.ended):
                    nursery.start_soon(_when, event, nursery.cancel_scope)
        if not process.is_alive():
            raise Refusal(f"{name} {process.reason or 'stopped'}")
        if process.failed.is_set() and not process.ready.is_set():
            raise Refusal(process.failure)
        if not process.ready.is_set() and self._is_sure_to_serve():
            raise Refusal(f"{name} was not ready within {START_GRACE_S:g} s (its log: {process.log_path})")
        return {"node": name, "pid": pid, "majority": self._majority()}

    async def stop(self, process: NodeProcess) -> dict[str, Any]:
        """Stops a node orderly; a frozen one is thawed for it."""
        name, pid = process.node.name, process.pid
        if not process.is_alive():
            raise Refusal(f"{name} does not run: {process.reason or 'stopped'}")
        process.wanted = False
        if process.state == "frozen":
            process.send(signal.SIGCONT)
        at_ms = process.send(signal.SIGTERM)
        with trio.move_on_after(STOP_GRACE_S):
            await process.ended.wait()
        if process.is_alive():
            raise Refusal(f"{name} did not stop within {STOP_GRACE_S:g} s (its log: {process.log_path})")
        return {"node": name, "pid": pid, "at_ms": at_ms, "majority": self._majority()}

    async def restart(self, process: NodeProcess) -> dict[str, Any]:
        """Stops a node, if it runs, and starts it at once."""
        stopped = await self.stop(process) if process.is_alive() else {}
        return stopped | await self.start(process)

    async def _signal(self, number: signal.Signals, process: NodeProcess) -> dict[str, Any]:
        name, pid = process.node.name, process.pid
        if not process.is_alive():
            raise Refusal(f"{name} does not run: {process.reason or 'stopped'}")
        if number is signal.SIGCONT and process.state != "frozen":
            raise Refusal(f"{name} is not frozen, it is {process.state}")
        if number is signal.SIGKILL:
            process.wanted = False
        at_ms = process.send(number)
        if number is signal.SIGKILL:
            await process.ended.wait()
        elif number is signal.SIGSTOP:
            self._say(f"{name} is frozen; {self._majority()}")
        else:
            self._say(f"{name} goes on")
        return {"node": name, "pid": pid, "at_ms": at_ms, "majority": self._majority()}

    async def _launch(self, process: NodeProcess) -> None:
        assert self._nursery is not None
        self._begun[process.node.name] = self._terms(process.node.name)
        blocks = self._blocks.get(process.node.name, {})
        extra = [word for peer, direction in blocks.items() for word in ("--block", f"{peer}:{direction}")]
        try:
            await process.start(extra)
        except OSError as error:
            raise Refusal(f"{process.node.name} cannot be started: {error.strerror or error}") from error
        self._nursery.start_soon(self._attend, process)
        self.write_run_file()

    async def _try_to_launch(self, process: NodeProcess) -> None:
        try:
            await self._launch(process)
        except Refusal as reason:
            self._say(str(reason))

    async def _attend(self, process: NodeProcess, pause_s: float = RESTART_PAUSE_FIRST_S) -> None:
        """Watches one life of a node to its end, says how it ended, and starts the next one if that is wanted."""
        await process.watch()
        self.write_run_file()
        if self.done.is_set():
            return
        self._say(f"{process.node.name} {_how_it_ended(process)}; {self._majority()}")
        if not process.wanted:
            return
        self.ended_by_itself = True
        if self._restart:
            # A node that was up for a while is started at once; one that dies again and again, ever more slowly.
            pause_s = RESTART_PAUSE_FIRST_S if process.ready.is_set() else min(2 * pause_s, RESTART_PAUSE_MAX_S)
            with trio.move_on_after(pause_s):
                await self.done.wait()
            if process.wanted and not process.is_alive() and not self.done.is_set():
                self._say(f"{process.node.name} is started again")
                await self._try_to_launch(process)
        elif not any(other.is_alive() for other in self.processes.values()):
            self._say("every node has ended")
            self.done.set()

    def write_run_file(self) -> None:
        """Brings run.json up to date."""
        nodes = {node.name: RunningNode(None, node.amqp, node.http, node.link) for node in self.cluster.nodes}
        for name, process in self.processes.items():
            doors = process.doors
            amqp, http, link = Address.parse(doors["amqp"]), Address.parse(doors["http"]), Address.parse(doors["link"])
            nodes[name] = RunningNode(process.pid, amqp, http, link)
        RunFile(os.getpid(), self._port, nodes).write(self.cluster.run_folder)

    def _is_sure_to_serve(self) -> bool:
        """Whether enough nodes run, as far as is known here, for none to wait for another; elsewhere nodes may run."""
        members, handling = self.cluster.names, self.cluster.partition_handling
        there = [*(name for name in members if name not in self.processes), *self._up()]
        if not handling.may_serve(there, members):
            return False
        if not handling.rule.wants_view(members):
            return True
        # who went on without the others does not wait for anybody, and only they know who that is
        return len(there) == len(members) or any(self.processes[name].ready.is_set() for name in self._up())

    def _up(self) -> list[str]:
        return [name for name, process in self.processes.items() if process.state in ("running", "starting")]

    def _majority(self) -> str:
        """Whether the nodes that still run go on without the others."""
        members, up = self.cluster.names, self._up()
        if len(self.processes) < len(members):
            return f"of the nodes on this machine {', '.join(up) or 'none'} run on"
        ready = [name for name in up if self.processes[name].ready.is_set()]
        return self.cluster.partition_handling.prospects(up, members, ready)

    async def _stop_all(self) -> None:
        async with trio.open_nursery() as nursery:
            for process in self.processes.values():
                if process.is_alive():
                    nursery.start_soon(self._stop_or_kill, process)

    async def _stop_or_kill(self, process: NodeProcess) -> None:
        try:
            await self.stop(process)
        except Refusal as reason:
            if not process.is_alive():
                return
            self._say(f"{reason}: it is killed")
            process.send(signal.SIGKILL)
            await process.ended.wait()

    async def _shorten_logs(self) -> None:
        while True:
            for process in self.processes.values():
                process.shorten_log()
            await trio.sleep(LOG_CHECK_S)


async def _when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _how_it_ended(process: NodeProcess) -> str:
    if process.state == "killed":
        return f"was {process.reason}"
    return process.reason or "stopped"
