"""`warren rebalance` shows who moved, who could not, and what each node has then."""

import json

import pytest

from broker.cli.entry import run

MOVE = {"vhost": "/", "queue": "orders", "from": "n1", "to": "n2"}
ANSWER = {
    "rows": [{"node": "n1", "quorum": 0, "classic": 2}, {"node": "n2", "quorum": 0, "classic": 1}],
    "moved": [MOVE],
    "failed": [{**MOVE, "queue": "letters", "why": "it was not filled in time"}],
}


class FakeRoad:
    """Hears one question."""

    def __init__(self, answer):
        self._answer = answer
        self.asked = None

    def ask_any(self, request, timeout_s):
        self.asked = request
        return self._answer


@pytest.fixture
def ask(monkeypatch, capsys):
    def ask(answer, *arguments):
        road = FakeRoad(answer)

        monkeypatch.setattr("broker.cli.rebalance.Road", lambda _cluster: road)
        assert run(["rebalance", *arguments]) == 0
        return road.asked, capsys.readouterr().out

    return ask


def test_what_was_done_is_told(ask):
    asked, out = ask(ANSWER, "classic", "--queue-pattern", "^o")
    assert asked == {"do": "rebalance", "type": "classic", "vhost_pattern": ".*", "queue_pattern": "^o"}
    assert out.splitlines() == [
        "orders: n1 -> n2",
        "letters stays on n1: it was not filled in time",
        "NODE  CLASSIC  QUORUM",
        "n1    2        0",
        "n2    1        0",
    ]
    assert json.loads(ask(ANSWER, "--json")[1]) == ANSWER


def test_nothing_is_mirrored(ask):
    asked, out = ask({"rows": [], "moved": [], "failed": []})
    assert (asked["type"], out) == ("all", "no mirrored queue\n")
