"""close_connection and close_all_connections: words and codes as rabbitmqctl 3.10.8 has them."""

import pytest

from broker.cli.ctl import clients
from tests.cli.ctl.fake_node import FakeNode


@pytest.fixture
def node(monkeypatch, capsys):
    node = FakeNode(monkeypatch, capsys)
    node.answers["close_connections"] = {"closed": 1}
    node.rows["connections"] = [
        {"pid": f"<{name}.1.{serial}.0>", "node": f"rabbit@{name}"} for serial, name in enumerate(("n1", "n2", "n1"), 1)
    ]
    return node


def closed(node):
    return [request["pids"] for request in node.asked if request["do"] == "close_connections"]


def test_one_connection(node):
    done = node.ctl("close_connection", "<n1.1.5.0>", "go away")
    assert done == (0, "Closing connection <n1.1.5.0>, reason: go away...\n", "")
    assert node.asked == [{"do": "close_connections", "pids": ["<n1.1.5.0>"], "reason": "go away"}]


def test_a_connection_that_there_is_not(node):
    node.answers["close_connections"] = {"closed": 0}
    assert node.ctl("close_connection", "-q", "<n1.1.5.0>", "r") == (
        0,
        "",
        "Warning: there is no connection <n1.1.5.0>\n",
    )


def test_what_is_no_pid(node):
    done = node.ctl("close_connection", "-q", "nonsense", "r")
    assert done == (69, "", 'Error:\n{:invalid_pid_syntax, "nonsense"}\n')
    assert node.asked == []


def test_an_explanation_is_needed(node):
    done = node.ctl("close_connection", "<n1.1.5.0>")
    assert (done.code, done.err.splitlines()[0]) == (64, "Error (argument validation): not enough arguments.")


def test_all_connections_of_a_vhost(node):
    done = node.ctl("close_all_connections", "-p", "v", "r")
    assert done == (0, "Closing all connections in vhost v, reason: r...\nClosed 3 connections\n", "")
    assert node.asked[0] == {"do": "facts", "kind": "connections", "fields": ["node", "pid"], "vhost": "v"}
    assert closed(node) == [["<n1.1.1.0>", "<n2.1.2.0>", "<n1.1.3.0>"]]


def test_so_many_with_a_pause_between_them(node, monkeypatch):
    waited = []
    monkeypatch.setattr(clients, "sleep", waited.append)
    done = node.ctl("close_all_connections", "--limit", "2", "--per-connection-delay", "50", "r")
    assert done.out == "Closing 2 connections in vhost /, reason: r...\nClosed 2 connections\n"
    assert closed(node) == [["<n1.1.1.0>", "<n2.1.2.0>"]]
    assert (node.asked[-1]["delay_ms"], waited) == (50, [])


def test_no_request_takes_longer_than_a_node_may(node, monkeypatch):
    waited = []
    monkeypatch.setattr(clients, "sleep", waited.append)
    assert (
        node.ctl("close_all_connections", "-q", "--per-connection-delay", "4000", "r").out == "Closed 3 connections\n"
    )
    assert closed(node) == [["<n1.1.1.0>", "<n2.1.2.0>"], ["<n1.1.3.0>"]]
    assert waited == [4]


def test_a_vhost_that_there_is_not_has_no_connections(node):
    assert node.ctl("close_all_connections", "-q", "-p", "nope", "r") == (0, "Closed 0 connections\n", "")


def test_all_connections_of_a_node(node):
    done = node.ctl("close_all_connections", "-n", "n1", "--global", "r")
    banner = "Closing all connections to node rabbit@n1 (across all vhosts), reason: r...\n"
    assert done == (0, f"{banner}Closed 2 connections\n", "")
    assert node.asked[0] == {"do": "facts", "kind": "connections", "fields": ["node", "pid"]}
    assert closed(node) == [["<n1.1.1.0>", "<n1.1.3.0>"]]


def test_all_connections_there_are(node):
    done = node.ctl("close_all_connections", "--global", "--formatter", "json", "r")
    assert done.out == '{"node":"rabbit@n1","result":"ok","value":"Closed 3 connections"}\n'
