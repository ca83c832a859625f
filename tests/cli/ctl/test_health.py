"""Health checks: what counts as healthy, what is printed, and that a check that fails ends with 69."""

import json

import pytest

from tests.cli.ctl.fake_members import FakeMembers
from tests.cli.ctl.fake_node import FakeNode


@pytest.fixture
def node(monkeypatch, capsys):
    return FakeNode(monkeypatch, capsys)


@pytest.fixture
def members(monkeypatch):
    return FakeMembers(monkeypatch, "n1", "n2", "n3")


def test_a_node_that_answers(node, members):
    assert node.ctl("ping").out == (
        "Will ping any node. This only checks if the OS process is running. Timeout: 60000 ms.\nPing succeeded\n"
    )
    assert json.loads(node.ctl("ping", "-n", "n2", "--formatter", "json").out) == {"message": "Ping succeeded"}
    assert node.ctl("ping", "-n", "n9").code == 69


@pytest.mark.parametrize(
    ("state", "runs", "boots"), [("running", True, False), ("starting", False, True), ("stopped", False, False)]
)
def test_whether_it_serves(node, members, state, runs, boots):
    members.says("n2", state=state, reason=None if runs else "it waits for n1")
    words = "is fully booted and running"
    if not runs:
        words = "is not running or has not fully booted yet (check with is_booting)"
    asked = node.ctl("is_running", "-n", "n2", "--formatter", "json")
    assert (asked.code, json.loads(asked.out)["result"]) == (0, runs)
    asked = node.ctl("is_booting", "-n", "n2", "--formatter", "json")
    assert (asked.code, json.loads(asked.out)["result"]) == (0, boots)
    done = node.ctl("check_running", "-n", "n2", "-q")
    said = f"RabbitMQ on node rabbit@n2 {words}"
    assert done == ((0, f"{said}\n", "") if runs else (69, "", f"Error:\n{said}: it waits for n1\n"))


def test_alarms_of_this_node_and_of_others(node, members):
    clear = "Node rabbit@n1 reported no alarms, local or clusterwide\n"
    for check in ("alarms", "check_alarms"):
        done = node.ctl(check, "-n", "n1", "-q")
        assert (done.code, done.out) == (0, clear)
    members.says("n2", alarms=["memory", "disk"])
    done = node.ctl("check_alarms", "-n", "n1")
    assert (done.code, done.out) == (69, "Asking node rabbit@n1 to report any local resource alarms ...\n")
    assert done.err == "Memory alarm on node rabbit@n2\nFree disk space alarm on node rabbit@n2\n"
    assert node.ctl("check_alarms", "-n", "n1", "-s") == (69, "", "")
    assert node.ctl("alarms", "-n", "n1", "-q") == (0, done.err, "")
    assert node.ctl("check_local_alarms", "-n", "n1").code == 0
    assert node.ctl("check_local_alarms", "-n", "n2", "-q") == (69, "", f"Error:\n{done.err}")
    told = json.loads(node.ctl("check_alarms", "-n", "n2", "--formatter", "json").err)
    assert (told["result"], told["local"], told["global"]) == ("error", done.err.splitlines(), [])


def test_virtual_hosts_that_are_not_served(node):
    node.answers["describe"] = {"down_vhosts": []}
    assert node.ctl("check_virtual_hosts", "-q").out == "Node rabbit@n1 reported all vhosts as running\n"
    assert node.ctl("check_virtual_hosts", "-s") == (0, "", "")
    node.answers["describe"] = {"down_vhosts": ["shop", "a"]}
    done = node.ctl("check_virtual_hosts")
    assert (done.code, done.err) == (69, "Error:\nSome virtual hosts on node rabbit@n1 are down:\nshop\na\n")
