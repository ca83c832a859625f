"""One node as an operating-system process: start it, hear that it is ready, signal it, see how it ended.

Decides what the state of a process is called and why it ended. It must not know the other nodes, nor what a node does.
"""

import os
import signal
import subprocess
from collections import deque
from pathlib import Path
from time import time

import trio

from broker.cli.run_file import LOG_FILE
from broker.cli.vocabulary import Doors, Process, ProcessState
from broker.node.configuration import Node

LOG_BYTES_MAX = 16 * 1024 * 1024
READY_PROMISE = b"ready "
CONFESSION = b"failed "
"""A node that cannot serve says so, and why; its process stays."""
READY_POLL_S = 0.01


class NodeProcess:
    """The process of one node, over all its lives. `wanted` says whether it is meant to run."""

    def __init__(self, node: Node, folder: Path, command: list[str]) -> None:
        self.node = node
        self.command = command
        self.log_path = folder / LOG_FILE
        self.state: ProcessState = "stopped"
        self.reason: str | None = "not started yet"
        self.wanted = False
        self.pid: int | None = None
        self.ready = trio.Event()
        self.failed = trio.Event()
        self.failure = ""
        """Why the node cannot serve although its process lives."""
        self.ended = trio.Event()
        self.ended.set()
        amqps = None if node.amqps is None else str(node.amqps)
        https = None if node.https is None else str(node.https)
        self.doors = Doors(amqp=str(node.amqp), amqps=amqps, http=str(node.http), https=https, link=str(node.link))
        self._process: trio.Process | None = None
        self._log_start = 0

    def is_alive(self) -> bool:
        """Whether there is a process, frozen or not."""
        return not self.ended.is_set()

    async def start(self, extra: list[str]) -> None:
        """Starts the process; its output goes to the log file. `extra` are further arguments. Raises OSError."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.wanted = True
        self.ready, self.failed, ended = trio.Event(), trio.Event(), trio.Event()
        self.failure = ""
        # Written by the node itself and not through us, so that a node outlives even a killed supervisor.
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = await trio.lowlevel.open_process(
                [*self.command, *extra],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own: Ctrl-C in the terminal is for the supervisor, who stops the nodes in order.
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self.ended = ended
        self.pid = self._process.pid
        self.state, self.reason = "starting", None

    async def watch(self) -> None:
        """Runs as long as the process does: notes when it is ready and how it ends."""
        process = self._process
        assert process is not None
        ended = self.ended
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear_ready)
            code = await process.wait()
            nursery.cancel_scope.cancel()
        self._note_end(code)
        ended.set()

    def send(self, number: signal.Signals) -> int:
        """Sends a signal and says when, in wall milliseconds. The process must be alive."""
        assert self._process is not None
        stamp_ms = int(time() * 1000)
        self._process.send_signal(number)
        if number is signal.SIGSTOP:
            self.state, self.reason = "frozen", f"frozen (signal {int(number)}): `warren thaw` lets it go on"
        elif number is signal.SIGCONT and self.state == "frozen":
            self.state, self.reason = "running" if self.ready.is_set() else "starting", None
        return stamp_ms

    def describe(self) -> Process:
        """What commands are told of it."""
        return Process(state=self.state, reason=self.reason, pid=self.pid, **self.doors)

    def last_words(self) -> str | None:
        """The last line that the present life wrote to its log, as a reason for its end."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(self._log_start)
                lines = deque((line for line in log if line.strip()), maxlen=1)
        except OSError:
            return None
        return lines[0].decode("utf-8", "replace").strip()[:300] if lines else None

    def shorten_log(self) -> None:
        """Keeps the log within its limit: what is too much becomes the one older file."""
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES_MAX:
            older = self.log_path.with_name(LOG_FILE + ".1")
            older.write_bytes(self.log_path.read_bytes())
            # The node appends, so it goes on at the new end.
            os.truncate(self.log_path, 0)

    async def _hear_ready(self) -> None:
        """Reads the log until the node has promised that it is ready."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            rest = b""
            while True:
                rest += log.read(65536)
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    if line.startswith(CONFESSION):
                        self.failure = line.removeprefix(CONFESSION).decode("utf-8", "replace")
                        self.failed.set()
                    if line.startswith(READY_PROMISE):
                        self._note_ready(line.decode("utf-8", "replace"))
                        return
                await trio.sleep(READY_POLL_S)

    def _note_ready(self, line: str) -> None:
        for word in line.split()[1:]:
            match word.partition("="):
                case ("amqp" | "amqps" | "http" | "https" | "link") as door, "=", address:
                    self.doors[door] = address
        if self.state == "starting":
            self.state = "running"
        self.ready.set()

    def _note_end(self, code: int) -> None:
        self.pid = None
        if code < 0:
            self.state, self.reason = "killed", f"killed (signal {-code})"
        elif code == 0:
            self.state, self.reason = "stopped", None
        else:
            words = self.last_words()
            self.state, self.reason = "stopped", f"ended with code {code}" + (f": {words}" if words else "")
