"""The road to many nodes at once: who answers first is heard first, and nobody waits for who is not needed."""

from threading import Event

import pytest

from broker.cli.exchange import Silent
from broker.cli.failures import Failed
from broker.cli.road import Road, at_once
from broker.node.configuration import load


def test_answers_come_as_they_are_ready_and_the_rest_is_left_behind():
    late = Event()

    def work(name):
        if name == "slow":
            late.wait(10)
        return name.upper()

    answers = at_once(work, ("slow", "quick"))
    assert next(answers) == ("quick", "QUICK")
    late.set()
    assert list(answers) == [("slow", "SLOW")]


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_what_goes_wrong_in_a_thread_climbs(names):
    def work(name):
        raise RuntimeError(name)

    with pytest.raises(RuntimeError):
        list(at_once(work, names))


@pytest.fixture
def road(tmp_path, monkeypatch):
    """To nodes of which each answers by its entry in `states`."""
    monkeypatch.chdir(tmp_path)
    found = Road(load(None))
    found.states = {}

    def exchange(address, request, timeout_s, **_):
        state = found.states[address.port]
        if isinstance(state, Exception):
            raise state
        return state

    monkeypatch.setattr(found, "_exchange", exchange)
    return found


def test_a_node_of_a_cluster_is_asked_before_one_that_is_alone(road):
    alone, member = {"state": "running", "members": {"n1": {}}}, {"state": "running", "members": {"n2": {}, "n3": {}}}
    road.states = {25672: alone, 25673: {"state": "paused"}, 25674: member}
    assert road.first_that_serves() == "n3"
    road.states[25674] = Silent("refused")
    assert road.first_that_serves() == "n1"


def test_why_nobody_serves_is_told_of_each(road):
    road.states = {25672: Silent("n1: refused"), 25673: {"state": "paused", "reason": "alone"}, 25674: {"state": "x"}}
    with pytest.raises(Failed) as failed:
        road.ask_any({"do": "anything"})
    assert failed.value.message == ("no node of cluster local serves: n1: n1: refused; n2 is paused: alone; n3 is x")


def test_a_node_that_falls_silent_is_not_asked_again(road):
    serving = {"state": "running", "members": {"n1": {}, "n2": {}}}
    road.states = dict.fromkeys((25672, 25673, 25674), serving)
    first = road._exchange

    def exchange(address, request, timeout_s, **options):
        if request["do"] != "status":
            raise Silent("hung up")
        return first(address, request, timeout_s, **options)

    road._exchange = exchange
    with pytest.raises(Failed, match="fell silent before it answered, this may or may not be done: hung up"):
        road.ask_any({"do": "anything"})
