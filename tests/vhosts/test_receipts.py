"""What consumers' nodes are told of their answers, and when."""

import pytest

from broker.queues.line import Line
from broker.vhosts.receipts import REJECTED_MAX, Receipts
from broker.wire import queue_frames as frames
from tests.mirroring.lane import run_of
from tests.vhosts.fakes import FakeSwitchboard

ACK, REJECT = frames.ACKNOWLEDGE, frames.REJECT
NOTHING = Line()


@pytest.fixture
def board():
    return FakeSwitchboard()


@pytest.fixture
def receipts(board):
    return Receipts(1, board)


def told(board, peer="n2"):
    return [frames.decode_triple(payload)[1:] for payload in board.take(frames.SETTLED, peer)]


def test_an_acknowledgement_is_safe_on_every_disk_that_counts(board, receipts):
    receipts.take("n2", ACK, 7, 1, 3)
    receipts.take("n2", ACK, 8, 4, 4)
    receipts.note(5, 100, NOTHING)
    for synced_note, synced_lsn in [(4, 100), (5, 99)]:
        receipts.pay(synced_note, synced_lsn)
        assert told(board) == []
    receipts.pay(5, 100)
    assert told(board) == [(ACK, 8)]
    receipts.pay(6, 200)
    assert told(board) == []


def test_without_mirrors_only_the_own_disk_counts(board, receipts):
    receipts.take("n2", ACK, 7, 1, 3)
    receipts.note(5, 100, NOTHING)
    receipts.pay(-1, 100)
    assert told(board) == [(ACK, 7)]


def test_a_rejection_waits_for_its_letter(board, receipts):
    letter = run_of("a", "b")
    letter.first = 4
    dying = Line([letter])
    receipts.take("n2", REJECT, 1, 4, 4)
    receipts.take("n2", REJECT, 2, 5, 5)
    receipts.take("n3", ACK, 1, 1, 1)
    for left, expected in [((5, 5), []), ((4, 4), [(REJECT, 2)])]:
        dying.discard(*left)
        receipts.note(5, 0, dying)
        receipts.pay(5, 0)
        assert told(board) == expected
    assert told(board, "n3") == [(ACK, 1)]


def test_what_clients_here_rejected_is_known_until_its_letter_is_safe(board, receipts):
    letter = run_of("a", "b")
    letter.first = 4
    dying = Line([letter])
    receipts.reject_here(4, 4)
    receipts.take("n2", REJECT, 1, 5, 5)
    receipts.note(5, 0, dying)
    assert receipts.rejected_here == [(4, 4)]
    dying.discard(4, 5)
    receipts.note(5, 0, dying)
    receipts.pay(5, 0)
    assert receipts.rejected_here == []
    assert told(board) == [(REJECT, 1)]
    assert told(board, "n1") == [], "this node waits for nothing"


def test_a_node_that_goes_is_not_told_what_it_had_asked(board, receipts):
    receipts.take("n2", REJECT, 1, 4, 4)
    receipts.note(1, 0, NOTHING)
    receipts.take("n2", ACK, 2, 5, 5)
    receipts.take("n2", REJECT, 3, 6, 6)
    receipts.cancel("n2")
    receipts.note(2, 0, NOTHING)
    receipts.pay(9, 0)
    assert told(board) == []


def test_rejections_that_wait_are_limited(board, receipts):
    letter = run_of(*["x"] * (3 * REJECTED_MAX))
    letter.first = 1
    dying = Line([letter])
    for number in range(1, REJECTED_MAX + 3):
        receipts.take("n2", REJECT, number, 2 * number, 2 * number)
    assert len(receipts._rejected) == REJECTED_MAX
    receipts.note(1, 0, dying)
    assert not receipts.owed
    assert not receipts.asked
