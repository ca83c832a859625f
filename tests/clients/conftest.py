"""The cluster that real clients talk to: three processes, started once. `amqp_urls` is the only place that knows it."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ADDRESSES = 'amqp: "127.0.0.1:0", http: "127.0.0.1:0", link: "127.0.0.1:0"'
CLUSTER = f"""\
cluster: {{name: clients, cookie: crumbs}}
nodes: [{{name: n1, {ADDRESSES}}}, {{name: n2, {ADDRESSES}}}, {{name: n3, {ADDRESSES}}}]
policies: [ha-all]
"""


@pytest.fixture(scope="session")
def amqp_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """One URL per node; whatever is declared at one of them can be used at every other at once."""
    with cluster(tmp_path_factory.mktemp("clients")) as urls:
        yield urls


@contextmanager
def cluster(folder: Path) -> Iterator[list[str]]:
    """A cluster of its own for whoever kills nodes; the URLs of n1, n2 and n3."""
    (folder / "cluster.yaml").write_text(CLUSTER)
    warren(folder, "up", "--detach")
    try:
        nodes = json.loads(warren(folder, "status", "--json"))["nodes"]
        yield [f"amqp://guest:guest@{node['amqp']}/" for node in nodes]
    finally:
        warren(folder, "down")


@pytest.fixture(scope="session")
def roads(amqp_urls: list[str]) -> list[tuple[str, str]]:
    """Every way from a node to a node: where one client declares and publishes, and where another consumes."""
    return list(itertools.product(amqp_urls, repeat=2))


def warren(folder: Path, *words: str) -> str:
    """Run a command in the cluster's folder; what it printed."""
    done = subprocess.run([sys.executable, "-m", "broker", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
