"""When a cluster counts as ready, ready without some node, or failed: with a road that tells what the test wants."""

from dataclasses import replace

import pytest

from broker.cli.exchange import Silent
from broker.cli.failures import Failed
from broker.cli.readiness import amqp_url, become_ready, contents
from broker.node.configuration import load


class FakeRoad:
    def __init__(self, cluster, **states):
        self.cluster = cluster
        self.states = states
        self.asked = []
        self.dying = set()
        """They die of the next request."""
        self.members = {}
        """By name of a node, whom it knows as members."""
        self.later = {}
        """The states after the first look."""

    def ask_all(self, request, timeout_s):
        self.states, states, self.later = self.states | self.later, self.states, {}
        return {name: self.status(name, states[name]) for name in self.cluster.names}

    def status(self, name, state):
        if isinstance(state, Silent):
            return state
        return {"state": state, "waiting_for": ["c"], "members": {key: {} for key in self.members.get(name, "abc")}}

    def ask(self, name, request):
        self.asked.append((name, request["do"]))
        if name in self.dying:
            self.states[name] = Silent("connection refused")
            raise self.states[name]
        return {"set": []}


class FakeProcess:
    def __init__(self, reason=None):
        self.reason = reason

    def is_alive(self):
        return self.reason is None


@pytest.fixture
def cluster(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("nodes: [a, b, c]\nusers: [{name: ann, password: secret, permissions: {'/': ['', '', '']}}]")
    return load(path)


def nobody_comes(_members):
    return []


class FakeTime:
    def __init__(self):
        self.now_s = 1.234

    def __call__(self):
        return self.now_s

    def pause(self, seconds):
        self.now_s += seconds


def ready(road, processes=None, timeout_s=30.0, *, restarts=False, time=None):
    time = time or FakeTime()
    return become_ready(road, processes or {}, timeout_s, time, nobody_comes, restarts=restarts, pause=time.pause)


def test_all_nodes_serve(cluster):
    road = FakeRoad(cluster, a="running", b="running", c="running")
    assert ready(road) == "cluster ready: 3 nodes in 1.23 s"
    assert road.asked == [("a", "apply")]


def test_a_majority_waits_a_little_for_the_others(cluster):
    road = FakeRoad(cluster, a="running", b="starting", c="running")
    time = FakeTime()
    assert ready(road, time=time) == "cluster ready: 2 of 3 nodes, waiting for b"
    assert time() >= 6.2


def test_a_dead_node_is_not_waited_for(cluster):
    road = FakeRoad(cluster, a="running", b=Silent("refused"), c="running")
    assert ready(road, {"b": FakeProcess("killed (signal 9)")}) == "cluster ready: 2 of 3 nodes, waiting for b"


def test_who_dies_of_what_the_file_says_is_not_the_last_to_be_given_it(cluster):
    road = FakeRoad(cluster, a="running", b="running", c="running")
    road.dying.add("a")
    assert ready(road) == "cluster ready: 2 of 3 nodes, waiting for a"
    assert road.asked == [("a", "apply"), ("b", "apply")]


def test_a_node_of_another_cluster_neither_counts_nor_is_asked_for_the_others(cluster):
    road = FakeRoad(cluster, a="running", b="running", c="running")
    road.members = {"a": ["a"], "b": ["b", "c"], "c": ["b", "c"]}
    assert ready(road) == "cluster ready: 2 nodes in 1.23 s"
    assert road.asked == [("b", "apply")]


@pytest.mark.parametrize("early", ["starting", "paused", Silent("connection refused")])
def test_a_node_of_its_own_that_serves_first_is_not_taken_for_the_cluster(cluster, early):
    road = FakeRoad(cluster, a="running", b=early, c=early)
    road.later = {"b": "running", "c": "running"}
    road.members = {"a": ["a"], "b": ["b", "c"], "c": ["b", "c"]}
    assert ready(road, {name: FakeProcess() for name in "abc"}) == "cluster ready: 2 nodes in 1.27 s"
    assert road.asked == [("b", "apply")]


def test_no_majority_in_time_says_who_is_waited_for_and_why(cluster):
    road = FakeRoad(cluster, a="starting", b="paused", c=Silent("connection refused"))
    with pytest.raises(Failed) as failed:
        ready(road, timeout_s=7)
    assert failed.value.message == (
        "no majority after 7 s: 0 of 3 nodes serve, 2 are needed; a is starting, waiting for c; b is paused, waiting "
        "for c; c does not answer (connection refused)"
    )


def test_two_dead_nodes_are_the_end_at_once(cluster):
    road = FakeRoad(cluster, a="starting", b=Silent("x"), c=Silent("x"))
    dead = {"b": FakeProcess("ended with code 3: no disk"), "c": FakeProcess("killed (signal 9)")}
    with pytest.raises(Failed, match=r"no majority: 0 of 3 .* b ended with code 3: no disk; c killed"):
        ready(road, dead)


def test_urls_show_only_the_password_that_everybody_knows(cluster, tmp_path):
    assert amqp_url(cluster, "127.0.0.1:5672") == "amqp://ann@127.0.0.1:5672/%2F"
    assert amqp_url(load(None), "127.0.0.1:5672") == "amqp://guest:guest@127.0.0.1:5672/%2F"


def test_contents_are_what_the_file_names(cluster):
    assert contents(cluster)["users"] == [
        {"name": "ann", "password": "secret", "tags": [], "permissions": {"/": ["", "", ""]}}
    ]


def test_contents_include_the_definitions_that_the_file_names(cluster, tmp_path):
    assert "definitions" not in contents(cluster)
    file = tmp_path / "rabbit.json"
    file.write_text('{"users": []}')
    cluster = replace(cluster, definitions=file)
    assert contents(cluster)["definitions"] == {"users": []}
    file.unlink()
    with pytest.raises(Failed, match=r"rabbit\.json"):
        contents(cluster)
