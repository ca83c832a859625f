"""The end of a node's process: by the supervisor that has started it, or by the node itself."""

import pytest

from broker.cli import road
from broker.cli.ctl.call import Call
from tests.cli.ctl.fake_members import FakeMembers
from tests.cli.ctl.fake_node import FakeNode


@pytest.mark.slow
def test_the_supervisor_is_told(warren):
    done = warren("ctl", "shutdown", "-n", "n3")
    assert done.code == 0
    first, last = done.out.splitlines()
    assert first.startswith("Shutting down RabbitMQ node rabbit@n3 running at PID ")
    assert last.endswith(" successfully shut down")
    assert "n3    stopped" in warren("status").out
    assert warren("start", "n3").code == 0
    assert warren("ctl", "stop", "-n", "rabbit@n3") == (0, "Stopping and halting node rabbit@n3 ...\n", "")
    assert warren("ctl", "check_running", "-n", "n3").code == 69
    assert warren("start", "n3").code == 0


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """There is no supervisor; what the node was asked."""
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WARREN_CONFIG", raising=False)
    FakeMembers(monkeypatch, "n1", "n2")
    monkeypatch.setattr(road.Road, "ask", lambda _road, node, request, timeout_s: asked.append((node, request["do"])))
    return asked


def test_without_a_supervisor_the_node_is(alone, monkeypatch, capsys):
    node = FakeNode(monkeypatch, capsys)
    answers = iter((True, False))
    monkeypatch.setattr(Call, "reaches", lambda _call, name: next(answers))
    assert node.ctl("stop", "-n", "n2").code == 0
    assert node.ctl("shutdown", "-n", "n1", "--no-wait").code == 0
    assert alone == [("n2", "shutdown"), ("n1", "shutdown")]
    assert next(answers, None) is None


def test_which_node_has_to_be_said(alone, monkeypatch, capsys):
    assert FakeNode(monkeypatch, capsys).ctl("stop").code == 64
    assert alone == []


def test_one_that_does_not_end_is_told(alone, monkeypatch, capsys):
    monkeypatch.setattr(Call, "reaches", lambda _call, name: True)
    done = FakeNode(monkeypatch, capsys).ctl("stop", "-n", "n2", "-t", "0")
    assert (done.code, done.err) == (75, "Error:\nrabbit@n2 still runs after 0 s\n")
