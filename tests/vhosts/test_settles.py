"""What a consumer's node keeps of its clients' answers until no failover can undo them."""

from broker.vhosts.settles import KEPT_MAX, Settles
from broker.wire import queue_frames as frames

HISTORY = [(10, 1)]
LATER = [(10, 1), (20, 100)]


def test_answers_in_the_order_of_positions_are_one_stretch():
    settles = Settles()
    numbers = [settles.add(frames.ACKNOWLEDGE, HISTORY, first, last) for first, last in [(1, 2), (3, 7), (9, 9)]]
    assert numbers == [1, 2, 3]
    assert list(settles.again()) == [(frames.ACKNOWLEDGE, HISTORY, [(1, 7), (9, 9)])]
    settles.safe_upto(frames.ACKNOWLEDGE, 1)  # of a stretch that has grown since
    assert list(settles.again()) == [(frames.ACKNOWLEDGE, HISTORY, [(1, 7), (9, 9)])]
    settles.safe_upto(frames.ACKNOWLEDGE, 2)
    assert list(settles.again()) == [(frames.ACKNOWLEDGE, HISTORY, [(9, 9)])]


def test_a_position_is_told_with_the_history_of_who_gave_it():
    settles = Settles()
    settles.add(frames.ACKNOWLEDGE, HISTORY, 1, 2)
    settles.add(frames.ACKNOWLEDGE, LATER, 3, 4)
    settles.add(frames.REJECT, LATER, 5, 5)
    assert list(settles.again()) == [
        (frames.ACKNOWLEDGE, HISTORY, [(1, 2)]),
        (frames.ACKNOWLEDGE, LATER, [(3, 4)]),
        (frames.REJECT, LATER, [(5, 5)]),
    ]
    settles.safe_upto(frames.ACKNOWLEDGE, 2)
    assert list(settles.again()) == [(frames.REJECT, LATER, [(5, 5)])]


def test_what_was_given_back_is_not_kept():
    settles = Settles()
    assert settles.add(frames.REQUEUE, HISTORY, 1, 2) == 0
    assert settles.add(frames.RELEASE, HISTORY, 0, 0) == 0
    assert list(settles.again()) == []


def test_the_oldest_are_forgotten_when_they_are_too_many():
    settles = Settles()
    for number in range(KEPT_MAX + 2):
        settles.add(frames.ACKNOWLEDGE, HISTORY, 2 * number, 2 * number)
    ((_, _, ranges),) = settles.again()
    assert (len(ranges), ranges[0]) == (KEPT_MAX, (4, 4))


def test_what_was_held_when_its_master_went_is_told_once_and_after_the_answers():
    settles = Settles()
    settles.come_back(HISTORY, [(4, 5), (8, 8)])
    settles.add(frames.ACKNOWLEDGE, HISTORY, 8, 8)
    assert list(settles.again()) == [
        (frames.ACKNOWLEDGE, HISTORY, [(8, 8)]),
        (frames.RELEASE, HISTORY, [(4, 5), (8, 8)]),
    ]
    settles.safe_upto(frames.RELEASE, 2)
    assert list(settles.again()) == [(frames.ACKNOWLEDGE, HISTORY, [(8, 8)])]


def test_what_came_back_is_counted_by_each_master_once():
    settles = Settles()
    settles.come_back(HISTORY, [(4, 5)])
    settles.add(frames.ACKNOWLEDGE, HISTORY, 8, 8)
    settles.counted(20, settles.number)
    settles.come_back(HISTORY, [(9, 9)])
    acknowledged = (frames.ACKNOWLEDGE, HISTORY, [(8, 8)])
    assert list(settles.again(20)) == [acknowledged, (frames.RELEASE, HISTORY, [(9, 9)])]
    assert list(settles.again(30)) == [acknowledged, (frames.RELEASE, HISTORY, [(4, 5), (9, 9)])]
