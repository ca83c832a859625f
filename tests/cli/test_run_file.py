"""What a supervisor or a node has read need not be checked again, as long as the file says the same."""

import os
import subprocess

import pytest

from broker.cli.entry import run
from broker.cli.run_file import hold_lock, is_node, recall, write_resolved
from broker.node.configuration import load

POLICY = "{name: two, pattern: x, definition: {max-length: 1}}"


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("COOKIE", "secret")
    (tmp_path / "two.yaml").write_text(POLICY)
    path = tmp_path / "cluster.yaml"
    path.write_text("cluster: {cookie: '${COOKIE}'}\nnodes: [n1]\npolicies: [two.yaml, ha-all]\ndata: there\n")
    (tmp_path / "there").mkdir()
    return path


@pytest.fixture
def known(file):
    """It was resolved by a supervisor that lives."""
    cluster = load(file)
    lock = hold_lock(cluster.run_folder)
    write_resolved(cluster)
    yield cluster
    os.close(lock)


def test_what_was_read_is_recalled(file, known):
    assert recall(file) == known


def test_what_nobody_has_read_is_not_recalled(file):
    load(file)
    assert recall(file) is None


def test_a_node_that_has_no_supervisor_leaves_what_it_has_read(file, monkeypatch):
    monkeypatch.setattr("broker.node.entry.run_node", lambda cluster, name, cut: 0)
    assert run(["node", "n1", "--config", str(file)]) == 0
    assert recall(file) == load(file)
    assert (file.parent / "there" / "cluster.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("more", ["", " --config cluster.yaml"])
def test_the_process_of_a_node_is_known_by_its_arguments(more):
    sleeper = subprocess.Popen(["sh", "-c", f"read line # warren node n1{more}"], stdin=subprocess.PIPE)
    try:
        assert is_node(sleeper.pid, "n1")
        assert not is_node(sleeper.pid, "n")
    finally:
        sleeper.communicate(b"end\n")


def test_a_node_of_a_supervisor_leaves_that_to_it(file, known, monkeypatch):
    monkeypatch.setattr("broker.node.entry.run_node", lambda cluster, name, cut: 0)
    other = file.with_name("other.yaml")
    other.write_text(file.read_text() + "vhosts: [a]\n")
    assert run(["node", "n1", "--config", str(other)]) == 0
    assert recall(file) == known


def test_a_file_that_says_something_else_is_read_anew(file, known, monkeypatch):
    file.write_text(file.read_text() + "vhosts: [a]\n")
    assert recall(file) is None
    file.write_text("nodes: [n1")
    assert recall(file) is None


@pytest.mark.parametrize("data", ["data: there # and nowhere else", "data: './there'", "data: ${NOWHERE:-there}"])
def test_however_the_folder_is_written(file, data):
    file.write_text(file.read_text().replace("data: there", data))
    cluster = load(file)
    lock = hold_lock(cluster.run_folder)
    write_resolved(cluster)
    assert recall(file) == (None if "$" in data else cluster)  # what is not seen at a glance is read
    os.close(lock)


def test_another_environment_is_another_file(file, known, monkeypatch):
    monkeypatch.setenv("COOKIE", "other")
    assert recall(file) is None


def test_a_policy_of_another_file_counts(file, known):
    (file.parent / "two.yaml").write_text(POLICY.replace("1", "2"))
    assert recall(file) is None
    (file.parent / "two.yaml").unlink()
    assert recall(file) is None


def test_what_another_version_wrote_is_passed_over(file, known):
    resolved = known.run_folder / "cluster.json"
    resolved.write_text(resolved.read_text().replace('"vhosts"', '"rooms"'))
    assert recall(file) is None
