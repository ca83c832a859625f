"""drain, revive, rebalance: words and codes as rabbitmq-upgrade and rabbitmq-queues 3.10.8 have them."""

import pytest

from tests.cli.ctl.fake_node import FakeNode

ROWS = [{"node": "n1", "quorum": 0, "classic": 2}, {"node": "n2", "quorum": 1, "classic": 1}]


@pytest.fixture
def node(monkeypatch, capsys):
    return FakeNode(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("do", "words"),
    [
        ("drain", "into maintenance mode. The node will no longer serve any client traffic!"),
        (
            "revive",
            "back into regular operating mode. The node will again serve client traffic and host primary queue "
            "replicas.",
        ),
    ],
)
def test_maintenance(node, do, words):
    node.answers[do] = {"node": "n2", "changed": True, "staying": []}
    assert node.ctl(do, "-n", "rabbit@n2") == (0, f"Will put node rabbit@n2 {words}\n", "")
    assert node.ctl("-n", "n2", "-q", do) == (0, "", "")
    assert node.ctl("-n", "n2", do, "--formatter", "json").out == '{"node":"rabbit@n2","result":"ok"}\n'
    assert node.asked == [{"do": do, "node": "n2"}] * 3
    done = node.ctl(do)
    assert (done.code, done.err.splitlines()[0]) == (
        64,
        "Error (argument validation): which node is meant has to be said: --node <node>",
    )
    assert "too many arguments" in node.ctl(do, "extra").err


def test_rebalance(node):
    node.answers["rebalance"] = {"rows": ROWS, "moved": [], "failed": []}
    done = node.ctl("rebalance", "all", "--queue-pattern", "^m")
    assert done.code == 0
    assert done.out.splitlines() == [
        "Re-balancing leaders of all queues...",
        "┌───────────┬─────────────────────────┬─────────────────────────────────────┐",
        "│ Node name │ Number of quorum queues │ Number of replicated classic queues │",
        "├───────────┼─────────────────────────┼─────────────────────────────────────┤",
        "│ rabbit@n1 │ 0                       │ 2                                   │",
        "├───────────┼─────────────────────────┼─────────────────────────────────────┤",
        "│ rabbit@n2 │ 1                       │ 1                                   │",
        "└───────────┴─────────────────────────┴─────────────────────────────────────┘",
    ]
    assert node.asked == [{"do": "rebalance", "type": "all", "vhost_pattern": ".*", "queue_pattern": "^m"}]
    assert node.ctl("rebalance", "classic", "--formatter", "json").out == (
        '{"node":"rabbit@n1","result":"ok","value":[[["Node name","rabbit@n1"],["Number of quorum queues",0],'
        '["Number of replicated classic queues",2]],[["Node name","rabbit@n2"],["Number of quorum queues",1],'
        '["Number of replicated classic queues",1]]]}\n'
    )


def test_rebalance_of_nothing(node):
    node.answers["rebalance"] = {"rows": [], "moved": [], "failed": []}
    assert node.ctl("-s", "rebalance", "quorum").out.splitlines() == [
        "┌────────┐",
        "│ Output │",
        "├────────┤",
        "│ []     │",
        "└────────┘",
    ]


def test_rebalance_refused(node):
    node.answers["rebalance"] = {"error": "rebalance_in_progress", "code": "rebalance_in_progress"}
    banner = "Re-balancing leaders of all queues...\n"
    assert node.ctl("rebalance", "all") == (69, banner, "Error:\nrebalance_in_progress\n")
    text = "Error:\ntype foo is not supported. Try one of all, classic, quorum.\n"
    assert node.ctl("rebalance", "foo") == (69, "", text)
    assert "not enough arguments" in node.ctl("rebalance").err
    assert "too many arguments" in node.ctl("rebalance", "all", "extra").err
