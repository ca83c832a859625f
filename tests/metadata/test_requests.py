"""A request is sent when it is safe, again when it may be lost, and answered when the answer holds."""

import pytest

from broker.cluster.entries import zxid_of
from broker.cluster.refusal import Refused
from broker.cluster.tree import Tree
from broker.metadata import requests as requests_module
from broker.metadata.requests import SEND_AGAIN_S, Answer, Asked, Requests
from broker.metadata.state import State, Transaction


def asked_numbers(requests, epoch, now):
    return [asked.number for asked in requests.due(epoch, now)]


def test_within_an_epoch_it_is_sent_again_only_after_a_while_or_when_the_link_came_anew():
    requests = Requests("a")
    requests.add({"do": "x"}, 0)
    assert asked_numbers(requests, 1, 10.0) == [1]
    assert asked_numbers(requests, 1, 10.5) == []
    assert requests.deadline() == 10.0 + SEND_AGAIN_S
    assert asked_numbers(requests, 1, 11.0) == [1]
    requests.send_again()
    assert asked_numbers(requests, 1, 11.1) == [1]
    assert asked_numbers(requests, 2, 11.2) == [1]


def test_the_leader_hears_below_which_number_nothing_is_waited_for():
    requests = Requests("a")
    first, second = requests.add({}, 0), requests.add({}, 0)
    assert [asked.done_below for asked in requests.due(1, 0.0)] == [1, 1]
    requests.remove(first)
    requests.send_again()
    assert [(asked.number, asked.done_below) for asked in requests.due(1, 0.0)] == [(2, 2)]
    requests.remove(second)
    assert requests.due(2, 9.0) == []
    assert requests.deadline() == float("inf")


def test_a_transaction_of_ours_is_the_answer_once_it_is_stable():
    requests = Requests("a")
    pending = requests.add({}, 0)
    requests.due(1, 0.0)
    zxid = zxid_of(1, 5)
    requests.applied(zxid, Transaction("a-1", {"created": True}, []))
    requests.applied(zxid, Transaction("b-1", {"created": False}, []))
    requests.settle(zxid, zxid - 1)
    assert not pending.done.is_set()
    requests.settle(zxid, zxid)
    assert pending.done.is_set()
    assert pending.result() == {"created": True}


def test_an_answer_without_a_transaction_holds_once_what_it_rests_on_is_applied():
    requests = Requests("a")
    told, refused = requests.add({}, 0), requests.add({}, 0)
    requests.due(1, 0.0)
    requests.answered(Answer("a-1", 1, 7, {"n": 1}, None))
    requests.answered(Answer("a-2", 1, 7, None, ("stale", "too late")))
    requests.settle(6, 6)
    assert not told.done.is_set()
    assert not refused.done.is_set()
    requests.settle(7, 6)
    assert not told.done.is_set()
    with pytest.raises(Refused, match="too late"):
        refused.result()
    requests.settle(7, 7)
    assert told.result() == {"n": 1}


def test_an_answer_that_rests_on_what_another_epoch_swept_away_is_asked_for_again():
    requests = Requests("a")
    pending = requests.add({}, 0)
    requests.due(1, 0.0)
    requests.answered(Answer("a-1", 1, zxid_of(1, 7), {"n": 1}, None))
    requests.settle(zxid_of(1, 6), 0)
    requests.epoch_begins(2)
    requests.settle(zxid_of(2, 0), zxid_of(2, 0))
    assert not pending.done.is_set()
    assert asked_numbers(requests, 2, 0.1) == [1]
    requests.answered(Answer("a-1", 1, 7, {"late": True}, None))  # of the old leader
    assert pending.said is None


def test_a_snapshot_tells_what_was_carried_out_and_when_nobody_can_tell(monkeypatch):
    monkeypatch.setattr(requests_module, "RECENT_MAX", 2)
    requests = Requests("a")
    found, lost = requests.add({}, 0), requests.add({}, 0)
    requests.due(1, 0.0)
    state = State(Tree())
    state.recent = {"a-1": (8, {"created": True}), "b-9": (9, {})}
    late = requests.add({}, 8)
    requests.restored(state)
    requests.settle(9, 9)
    assert found.result() == {"created": True}
    with pytest.raises(Refused, match="too far behind"):
        lost.result()
    assert not late.done.is_set()


def test_requests_and_answers_travel():
    asked = Asked("a", 3, 2, 1, {"do": "x"})
    assert Asked.decode(asked.encode()) == asked
    assert asked.request_id == "a-3"
    for answer in (Answer("a-3", 1, 7, {"n": 1}, None), Answer("a-3", 1, 7, None, ("code", "why"))):
        assert Answer.decode(answer.encode()) == answer
