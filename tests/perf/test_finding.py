"""perf and drill find the cluster as every command does."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.perf.client import Target
from broker.perf.finding import WrongConfiguration, dialled, find_cluster, running, targets
from broker.perf.load import command

NODES = "nodes: [{name: a, amqp: '127.0.0.1:7001'}, {name: b, amqp: '0.0.0.0:7002'}, {name: c}]\n"


def test_the_named_file_then_the_variable_then_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WARREN_CONFIG", raising=False)
    assert find_cluster(None).names == ("n1", "n2", "n3")
    (tmp_path / "cluster.yaml").write_text(NODES)
    assert find_cluster(None).names == ("a", "b", "c")
    (tmp_path / "other.yaml").write_text("nodes: [{name: x}, {name: y}, {name: z}]\n")
    monkeypatch.setenv("WARREN_CONFIG", "other.yaml")
    assert find_cluster(None).names == ("x", "y", "z")
    assert find_cluster(tmp_path / "cluster.yaml").names == ("a", "b", "c")
    monkeypatch.setenv("WARREN_CONFIG", "gone.yaml")
    with pytest.raises(WrongConfiguration, match=r"gone\.yaml"):
        find_cluster(None)


def test_targets_are_the_files_addresses_until_a_supervisor_says_better(tmp_path: Path) -> None:
    user = "{name: u, password: p, tags: [administrator], permissions: {w: ['.*', '.*', '.*']}}"
    (tmp_path / "cluster.yaml").write_text(NODES + f"vhosts: [w]\nusers: [{user}]\n")
    cluster = find_cluster(tmp_path / "cluster.yaml")
    assert running(cluster) is None
    found = targets(cluster)
    assert found["b"] == Target("127.0.0.1:7002", "u", "p", "w"), "all interfaces are dialled on this machine"
    cluster.run_folder.mkdir()
    nodes = {name: {"amqp": f"127.0.0.1:{port}", "link": "x:1"} for port, name in enumerate("abc", 9001)}
    (cluster.run_folder / "run.json").write_text(json.dumps({"supervisor": {"port": 1}, "nodes": nodes}))
    assert {name: target.address for name, target in targets(cluster).items()} == {
        "a": "127.0.0.1:9001",
        "b": "127.0.0.1:9002",
        "c": "127.0.0.1:9003",
    }


def test_perf_without_a_url_asks_the_cluster_that_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("nodes: [{name: a, amqp: '127.0.0.1:1'}]\n")
    result = CliRunner().invoke(command, ["--config", str(file)])
    assert result.output == "perf: 127.0.0.1:1: connection refused\n"


def test_addresses_to_dial() -> None:
    assert dialled("0.0.0.0:5") == "127.0.0.1:5"
    assert dialled("[::]:5") == "[::1]:5"
    assert dialled("host:5") == "host:5"
