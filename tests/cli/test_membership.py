"""Nodes that come and go, seen from outside: what is asked of whom, and what is refused before anything is changed."""

import pytest

from broker.cli.exchange import Silent
from broker.cli.failures import Failed
from broker.cli.membership import Membership
from broker.node.configuration import load

HERE = {"voter": True, "running": True, "leaving": False}


class FakeRoad:
    """To nodes whose answers to `status` are these; the first one speaks for the cluster. There is no supervisor."""

    has_supervisor = False

    def __init__(self, **answers):
        self.answers = answers
        self.changes = []

    def ask_any(self, request):
        if request["do"] == "change":
            self.changes.append(request["request"]["do"])
            return {}
        return next(iter(self.answers.values()))

    def learn(self, links): ...

    def ask(self, name, request, timeout_s):
        if name not in self.answers:
            raise Silent("connection refused")
        return self.answers[name]


def serving(*members):
    return {"state": "running", "members": dict.fromkeys(members, HERE)}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("nodes: [n1, n2, n3]\n")
    return load(path)


@pytest.mark.parametrize("state", ["running", "stopped", "starting"])
def test_a_node_of_another_cluster_is_not_taken_for_one_that_has_joined(file, state):
    road = FakeRoad(n2=serving("n2", "n3"), n1={**serving("n1"), "state": state})
    with pytest.raises(Failed) as failed:
        Membership(road, print).join(file)
    assert failed.value.message == (
        "n1 is of another cluster than n2 n3: `warren ctl -n n1 stop_app`, `warren ctl -n n1 join_cluster n2` and "
        "`start_app` would bring it in, and cost it all that it has"
    )
    assert road.changes == []


def test_a_node_that_waits_to_be_let_in_is_no_stranger(file):
    road = FakeRoad(n2=serving("n2", "n3"), n1={"state": "starting", "members": {"n1": {}, "n2": {}}})
    assert Membership(road, print).join(file) == ["n1"]
    assert road.changes == ["add_member"]


def test_a_node_that_falls_silent_while_it_is_drained_is_named(file):
    road = FakeRoad(n2=serving("n2", "n3"))
    with pytest.raises(Failed, match="n3 does not answer: connection refused"):
        Membership(road, print)._drain("n3")
