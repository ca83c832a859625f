"""Whether a node may be stopped: what mirrored queues, and what quorum queues, would lose with it."""

import json

import pytest

from tests.cli.ctl.fake_members import FakeMembers
from tests.cli.ctl.fake_node import FakeNode

MIRRORS, QUORUM = "check_if_node_is_mirror_sync_critical", "check_if_node_is_quorum_critical"


@pytest.fixture
def node(monkeypatch, capsys):
    return FakeNode(monkeypatch, capsys)


@pytest.fixture
def members(monkeypatch):
    return FakeMembers(monkeypatch, "n1", "n2", "n3")


def queue(name, *in_sync, master="n1", **facts):
    return {"name": name, "vhost": "/", "type": "classic", "master": master, "mirrors": ["n2", "n3"], **facts} | {
        "in_sync": list(in_sync)
    }


def test_a_node_that_alone_has_everything_of_a_mirrored_queue_must_stay(node, members):
    plain = {**queue("plain"), "mirrors": None, "in_sync": None}
    rows = [plain, queue("safe", "n2"), queue("elsewhere", master="n2"), queue("voted", type="quorum")]
    node.answers["status"] = {"queues": rows}
    text = "Node rabbit@n1 reported no classic mirrored queues without online synchronised mirrors\n"
    assert node.ctl(MIRRORS, "-n", "n1", "-q") == (0, text, "")
    rows.append(queue("risky"))
    text = "queue 'risky' in vhost '/' would lose its only synchronised replica (master) if node rabbit@n1 is stopped\n"
    assert node.ctl(MIRRORS, "-n", "n1", "-q") == (69, "", text)
    assert node.ctl(MIRRORS, "-n", "n1", "-s") == (69, "", "")
    members.says("n2", state="stopped")
    told = json.loads(node.ctl(MIRRORS, "-n", "n1", "--formatter", "json").err)
    assert [one["name"] for one in told["queues"]] == ["safe", "risky"]


def test_a_node_without_which_a_quorum_queue_stops_must_stay(node, members):
    node.answers["status"] = {"queues": [queue("voted", "n2", type="quorum"), queue("classic")]}
    text = "Node rabbit@n1 reported no quorum queues with minimum quorum\n"
    assert node.ctl(QUORUM, "-n", "n1", "-q") == (0, text, "")
    members.says("n3", state="stopped")  # now the majority would go with it
    lost = (69, "", "queue 'voted' in vhost '/' would lose quorum if node rabbit@n1 is stopped\n")
    assert node.ctl(QUORUM, "-n", "n1", "-q") == lost
    members.says("n3")
    node.answers["status"] = {"queues": [queue("voted", type="quorum")]}
    assert node.ctl(QUORUM, "-n", "n1", "-q") == lost


def test_a_node_that_does_not_serve_knows_of_no_queue(node, members):
    members.says("n1", state="paused", reason="it waits for n2 or n3")
    done = node.ctl(MIRRORS, "-n", "n1")
    assert done.code == 69
    assert "requires the 'rabbit' app to be running" in done.err
    assert "(rabbit@n1 is paused: it waits for n2 or n3)" in done.err


@pytest.mark.parametrize("check", [MIRRORS, QUORUM])
def test_a_node_alone_is_not_asked(node, monkeypatch, check):
    FakeMembers(monkeypatch, "n1")
    node.answers["status"] = {"queues": [queue("risky"), queue("voted", type="quorum")]}
    text = "Node rabbit@n1 seems to be the only one in a single node cluster, the check does not apply\n"
    assert node.ctl(check, "-n", "n1", "-q") == (0, text, "")


def test_which_node_has_to_be_said(node, members):
    for check in (MIRRORS, QUORUM, "await_online_synchronized_mirror", "await_online_quorum_plus_one"):
        assert node.ctl(check).code == 64


@pytest.mark.parametrize(
    ("command", "kind", "lack"),
    [
        ("await_online_synchronized_mirror", "classic", "no synchronised mirror"),
        ("await_online_quorum_plus_one", "quorum", "no quorum + 1 online replicas"),
    ],
)
def test_waiting_until_it_may_be_stopped(node, members, command, kind, lack):
    node.answers["status"] = {"queues": [queue("risky", type=kind)]}
    done = node.ctl(command, "-n", "n1", "-t", "0")
    assert (done.code, done.err.partition(" came online for at least some ")[0]) == (69, f"Error:\ntime is up, {lack}")
    node.answers["status"] = {"queues": [queue("risky", "n3", type=kind)]}
    assert node.ctl(command, "-n", "n1", "-t", "0").code == 0


def test_nothing_is_waited_for_where_a_node_is_alone(node, monkeypatch):
    FakeMembers(monkeypatch, "n1")
    node.answers["status"] = {"queues": []}
    done = node.ctl("await_online_synchronized_mirror", "-n", "n1")
    alone = "Target node seems to be the only one in a single node cluster, the command does not apply"
    assert done.out.splitlines()[1] == alone
