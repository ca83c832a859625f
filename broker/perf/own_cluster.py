"""A cluster for one drill: like the one in the file, but in a temporary folder and on free ports, and gone afterwards.

Decides where it lives. It must not know how nodes are started: that is `warren up`, called as a user would call it.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from broker.node.configuration import Address, Cluster, Node, load

UP_TIMEOUT_S = 60
ANY_PORT = Address("127.0.0.1", 0)


class NotStarted(Exception):
    """`warren up` failed; the text is what it said."""


@dataclass
class OwnCluster:
    """`cluster` as it runs; `folder` with its data and logs is deleted at the end unless `keep` is set."""

    cluster: Cluster
    folder: Path
    keep: bool = False


@contextmanager
def own_cluster(pattern: Cluster) -> Iterator[OwnCluster]:
    """Start a cluster with the nodes, users, policies and settings of `pattern`; in the end stop it.

    Raises NotStarted.
    """
    folder = Path(tempfile.mkdtemp(prefix="warren-drill-"))
    own = OwnCluster(pattern, folder)
    try:
        nodes = tuple(_on_any_port(node) for node in pattern.nodes)
        wanted = replace(pattern, nodes=nodes, data=folder / "data", file=None)
        file = folder / "cluster.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(wanted.as_json()), encoding="utf-8")
        _warren("up", str(file), "--detach")
        try:
            own.cluster = load(file)
            yield own
        finally:
            _warren("down", "--config", str(file))
    finally:
        if not own.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _on_any_port(node: Node) -> Node:
    doors: dict[str, Any] = dict.fromkeys(node.doors, ANY_PORT)
    return replace(node, **doors)


def _warren(*arguments: str) -> None:
    command = [sys.executable, "-m", "broker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=UP_TIMEOUT_S, check=False)
    if done.returncode:
        raise NotStarted((done.stderr or done.stdout).strip() or f"warren {arguments[0]} ended with {done.returncode}")
