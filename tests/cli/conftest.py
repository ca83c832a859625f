"""A cluster of fake nodes under the real supervisor, and a way to run commands against it."""

from typing import NamedTuple

import pytest


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def write_cluster(tmp_path):
    from tests.cli.fake_cluster import THREE_NODES

    path = tmp_path / "cluster.yaml"
    path.write_text(THREE_NODES)
    return path


@pytest.fixture(scope="session")
def cluster_file(tmp_path_factory):
    """A running cluster; every test leaves it as it was."""
    from tests.cli.fake_cluster import THREE_NODES, fake_warren

    path = tmp_path_factory.mktemp("cluster") / "cluster.yaml"
    path.write_text(THREE_NODES)
    up = fake_warren("up", str(path), "--detach")
    out, err = up.communicate(timeout=30)
    assert up.returncode == 0, out + err
    assert "cluster ready: 3 nodes in " in out.splitlines()[-1]
    yield path
    down = fake_warren("down", "--config", str(path))
    out, err = down.communicate(timeout=30)
    assert (down.returncode, out, err) == (0, "cluster test is down\n", "")


@pytest.fixture
def warren(cluster_file, monkeypatch, capsys):
    """Runs one command against that cluster."""
    from broker.cli.entry import run

    monkeypatch.setenv("WARREN_CONFIG", str(cluster_file))

    def warren(*arguments: str) -> Done:
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return warren
