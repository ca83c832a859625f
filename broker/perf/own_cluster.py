"""A cluster for one drill: like the one in the file, but in a temporary folder, on free ports, and gone afterwards.

Decides where it lives. It must not know how nodes are started: that is `warren up`, called as a user would call it.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from broker.node.configuration import Address, Cluster, load

UP_TIMEOUT_S = 60
ANY_PORT = Address("127.0.0.1", 0)


class NotStarted(Exception):
    """`warren up` failed; the text is what it said."""


@contextmanager
def own_cluster(pattern: Cluster) -> Iterator[Cluster]:
    """Start a cluster with the nodes, users, policies and settings of `pattern`; at the end stop it and drop its data.

    Raises NotStarted.
    """
    with tempfile.TemporaryDirectory(prefix="warren-drill-") as folder:
        nodes = tuple(replace(node, amqp=ANY_PORT, http=ANY_PORT, link=ANY_PORT) for node in pattern.nodes)
        wanted = replace(pattern, nodes=nodes, data=Path(folder) / "data", file=None)
        file = Path(folder) / "cluster.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(wanted.as_json()), encoding="utf-8")
        _warren("up", str(file), "--detach")
        try:
            yield load(file)
        finally:
            _warren("down", "--config", str(file))


def _warren(*arguments: str) -> None:
    command = [sys.executable, "-m", "broker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=UP_TIMEOUT_S, check=False)
    if done.returncode:
        raise NotStarted((done.stderr or done.stdout).strip() or f"warren {arguments[0]} ended with {done.returncode}")
