"""run.json: which supervisor runs the cluster and on which port it listens; each node's process and addresses.

Decides how it is written and read. It must not know how processes are started.
"""

import fcntl
import json
import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

from broker.node.configuration import DEFAULT_DATA, MEMORY, RESOLVED_FILE, Address, Cluster, memory_folder
from broker.node.configuration_fingerprint import fingerprint, folder_of

RUN_FILE = "run.json"
LOCK_FILE = "lock"
LOG_FILE = "log"
"""In the folder of a node."""
LOCK_PATIENCE_S = 0.2

_DATA_LINE = re.compile(r"""^data:[ \t]*["']?([^"'#\s]+)""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RunningNode:
    """One node as the supervisor started it; `pid` is None while it does not run."""

    pid: int | None
    amqp: Address
    http: Address
    link: Address


@dataclass(frozen=True, slots=True)
class RunFile:
    """What a supervisor leaves for the commands."""

    pid: int
    port: int
    nodes: dict[str, RunningNode]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The file in that folder; None if there is none, or it is of no use."""
        try:
            value = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
            nodes = {
                name: RunningNode(
                    node["pid"], Address.parse(node["amqp"]), Address.parse(node["http"]), Address.parse(node["link"])
                )
                for name, node in value["nodes"].items()
            }
            return cls(value["supervisor"]["pid"], value["supervisor"]["port"], nodes)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, folder: Path) -> None:
        """Replaces the file in that folder at once."""
        nodes = {
            name: {"pid": node.pid, "amqp": str(node.amqp), "http": str(node.http), "link": str(node.link)}
            for name, node in self.nodes.items()
        }
        write_private(folder / RUN_FILE, {"supervisor": {"pid": self.pid, "port": self.port}, "nodes": nodes})


def write_resolved(cluster: Cluster) -> Path:
    """Leaves the resolved configuration, with its secrets, where the nodes find it.

    They need not import definitions when they start: `up` hands those in, once.
    """
    path = cluster.run_folder / RESOLVED_FILE
    write_private(path, replace(cluster, definitions=None).as_json())
    return path


def recall(path: Path | None) -> Cluster | None:
    """What the file says (None: there is none), if the supervisor or a node has read the very same here; else None.

    Then commands need neither read nor check it again, which takes longer than all else that they do.
    """
    file = None if path is None else path.resolve()
    folder = _presumed_folder(file)
    if folder is None:
        return None
    try:
        cluster = Cluster.from_json(json.loads((folder / RESOLVED_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # another version of Warren has written it
    said = fingerprint(cluster.sources)
    return cluster if cluster.file == file and said and said == cluster.fingerprint else None


def _presumed_folder(file: Path | None) -> Path | None:
    """Where it would be, at a glance: whether it is the cluster of this file is seen there."""
    try:
        line = None if file is None else _DATA_LINE.search(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    data = DEFAULT_DATA if line is None else line[1]
    return memory_folder(file) if data == MEMORY else folder_of(file) / Path(data).expanduser()


def write_private(path: Path, value: Any) -> None:
    """Replaces a JSON file that only its owner can read, in one step."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(value, file)
    temporary.replace(path)


def hold_lock(folder: Path) -> int | None:
    """Takes the lock of the supervisor, until this process ends; None if another supervisor has it."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    deadline_s = monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # A command that only looks whether a supervisor lives has it for an instant.
            if monotonic() < deadline_s:
                sleep(0.01)
                continue
            os.close(descriptor)
            return None
        return descriptor


def supervisor_lives(folder: Path) -> bool:
    """Whether a supervisor runs the cluster of that folder: its lock dies with it; a process number may come back."""
    if not (folder / LOCK_FILE).exists():
        return False
    descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_node(pid: int, name: str) -> bool:
    """Whether the process of that number is still the node of that name, and not a stranger who got its number."""
    found = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return f"node {name} " in found.stdout.strip() + " "
