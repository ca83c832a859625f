"""`partition_handling` of cluster.yaml: every mode, and every fault with what would be right."""

import json
from pathlib import Path

import pytest

from broker.node.configuration import Cluster, ConfigurationError, load
from broker.node.partition_handling import PartitionHandling


@pytest.fixture(name="write")
def _write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "cluster.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "handling"),
    [
        ("nodes: [a, b]", PartitionHandling()),
        ("cluster: {partition_handling: ignore}", PartitionHandling("ignore")),
        ("cluster: {partition_handling: autoheal}", PartitionHandling("autoheal")),
        (
            "cluster: {partition_handling: {mode: pause_if_all_down, nodes: [n1, rabbit@n2], recover: autoheal}}",
            PartitionHandling("pause_if_all_down", ("n1", "n2"), "autoheal"),
        ),
        ("cluster: {partition_handling: pause_minority}\nnodes: [a, b]", PartitionHandling("pause_minority")),
    ],
)
def test_modes(write, text, handling):
    cluster = load(write(text))
    assert cluster.partition_handling == handling
    assert Cluster.from_json(json.loads(json.dumps(cluster.as_json()))) == cluster


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "cluster: {partition_handling: pause}",
            "cluster.yaml:1: cluster.partition_handling: 'pause': must be auto, pause_minority, autoheal, ignore or "
            "{mode: pause_if_all_down, nodes: [n1], recover: autoheal}",
        ),
        (
            "cluster: {partition_handling: pause_if_all_down}",
            "cluster.yaml:1: cluster.partition_handling: 'pause_if_all_down': needs the nodes of which one has to be "
            "there: use {mode: pause_if_all_down, nodes: [n1], recover: autoheal}",
        ),
        (
            "cluster:\n  partition_handling: {mode: pause_if_all_down, nodes: [n1, n9, rabbit@n8], recover: ignore}",
            "cluster.yaml:2: cluster.partition_handling.nodes[1]: there is no node 'n9': choose from n1, n2, n3",
        ),
        (
            "cluster: {partition_handling: {mode: pause_if_all_down, nodes: [n1]}}",
            "cluster.yaml:1: cluster.partition_handling: {'mode': 'pause_if_all_down', 'nodes': ['n1']}: recover is "
            "missing: must be autoheal or ignore",
        ),
        (
            "cluster: {partition_handling: {mode: pause_if_all_down, nodes: [n1], recover: yes}}",
            "cluster.yaml:1: cluster.partition_handling: {'mode': 'pause_if_all_down', 'nodes': ['n1'], 'recover':...: "
            "recover is True: must be autoheal or ignore",
        ),
        (
            "cluster: {partition_handling: {mode: pause_if_all_down, recover: ignore}}",
            "cluster.yaml:1: cluster.partition_handling: {'mode': 'pause_if_all_down', 'recover': 'ignore'}: nodes "
            "must be a list of node names: use ",
        ),
        (
            "cluster: {partition_handling: {mode: autoheal, nodes: [n1]}}",
            "cluster.yaml:1: cluster.partition_handling: {'mode': 'autoheal', 'nodes': ['n1']}: autoheal has no nodes: "
            "use partition_handling: autoheal",
        ),
        (
            "cluster: {partition_handling: {mode: pause_if_all_down, node: n1}}",
            "cluster.yaml:1: cluster.partition_handling: {'mode': 'pause_if_all_down', 'node': 'n1'}: unknown key "
            "node: use ",
        ),
    ],
)
def test_faults(write, tmp_path, text, line):
    with pytest.raises(ConfigurationError) as refused:
        load(write(text))
    problems = [problem.replace(f"{tmp_path}/", "") for problem in refused.value.problems]
    assert any(problem.startswith(line) for problem in problems), problems
