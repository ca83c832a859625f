"""Letters of other queues: each is taken once, as long as it is remembered where it stands here."""

import pytest

from broker.mirroring import repeats as room
from broker.mirroring.copy import Copy
from broker.mirroring.master import Master
from broker.mirroring.mirror import Mirror, Offer
from broker.mirroring.repeats import Repeats, is_of_letters
from broker.queues.settings import Settings
from broker.wire import records
from broker.wire.message import PassedRun, Place
from tests.mirroring.lane import run_of

SOURCE, OWNER = 7, 3


def place(position, term=OWNER):
    return Place(SOURCE, term, position)


def test_what_is_known_is_not_fresh():
    repeats = Repeats()
    repeats.take(place(5), 2, at=1)
    repeats.take(place(9), 1, at=3)
    assert repeats.fresh(place(4), 7) == [(0, 1), (3, 5), (6, 7)]
    assert repeats.fresh(place(5), 2) == []
    assert repeats.fresh(place(5, term=OWNER + 1), 2) == [(0, 2)], "another message stands there now"
    assert repeats.fresh(Place(8, OWNER, 5), 2) == [(0, 2)]


def test_letters_in_the_order_of_both_queues_are_one_stretch():
    repeats = Repeats()
    assert repeats.take(place(5), 2, at=1) == [("letters 7 3 5", 2, [(5, 6)])]
    assert repeats.take(place(7), 3, at=3) == [("letters 7 3 5", 5, [(5, 9)])]
    assert repeats.take(place(10), 1, at=7) == [("letters 7 3 a", 7, [(10, 10)])], "something else came between"
    assert list(repeats.told()) == [("letters 7 3 5", 5, [(5, 9)]), ("letters 7 3 a", 7, [(10, 10)])]


def test_the_oldest_is_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(room, "REMEMBERED_MAX", 2)
    repeats = Repeats()
    repeats.take(place(9), 1, at=1)
    repeats.take(place(5), 1, at=2)
    assert repeats.take(place(1), 1, at=3) == [("letters 7 3 1", 3, [(1, 1)]), ("letters 7 3 9", 0, [])]
    assert repeats.fresh(place(9), 1) == [(0, 1)]
    assert len(repeats) == 2


def test_what_a_cut_took_away_is_not_claimed():
    repeats = Repeats()
    repeats.take(place(5), 4, at=10)
    repeats.take(place(20), 1, at=14)
    assert repeats.truncate(11) == [("letters 7 3 5", 11, [(5, 6)]), ("letters 7 3 14", 0, [])]
    assert repeats.fresh(place(5), 4) == [(2, 4)]
    assert repeats.fresh(place(20), 1) == [(0, 1)]
    assert repeats.forget_at([(11, 11)]) == [("letters 7 3 5", 0, [])]
    assert len(repeats) == 0


def test_records_say_the_same():
    repeats, other = Repeats(), Repeats()
    for position, at in [(5, 1), (6, 2), (1, 9)]:
        for change in repeats.take(place(position), 1, at):
            other.learn(*change)
    assert list(other.told()) == list(repeats.told())
    for change in repeats.truncate(1):
        other.learn(*change)
    assert list(other.told()) == list(repeats.told()) == [("letters 7 3 5", 1, [(5, 5)])]


def test_no_node_is_taken_for_letters():
    assert is_of_letters("letters 7 3 5")
    assert not is_of_letters("letters/5")


# ---------------------------------------------------------------------- masters and mirrors


def letters(*bodies, first, term=OWNER):
    return PassedRun(run_of(*bodies), place(first, term))


def master_of(copy=None, term=10, **settings):
    return Master(copy or Copy(1, True), term, Settings(**settings), mirrored=True)


def kinds(master):
    return [(type(note.record).__name__, note.durable) for note in master.take_notes()]


def test_a_repeated_letter_is_answered_and_not_taken():
    master = master_of()
    master.take_notes()
    master.publish(letters("a", "b", first=5), 0)
    assert kinds(master) == [("Origin", True), ("Publish", True)]
    assert master.publish(letters("a", "b", first=5), 0) == ([], 0)
    assert kinds(master) == []
    master.publish(letters("b", "c", first=6), 0)
    assert [run.contents for run in master.queue.living()] == [run_of("a", "b").contents, run_of("c").contents]


def test_of_refused_letters_nothing_is_remembered():
    master = master_of(max_length=2, overflow="reject-publish")
    master.take_notes()
    assert master.publish(letters("a", "b", "c", first=5), 0)[0] == [(2, 3)]
    assert kinds(master) == [("Publish", True), ("Origin", True)]
    assert master.copy.repeats.fresh(place(5), 3) == [(2, 3)]


def test_a_successor_that_heard_of_a_letter_and_has_not_got_it_takes_it():
    master, mirror = master_of(), Mirror(Copy(1, True))
    mirror.receive_offer(Offer(1, 10, [(10, 1)], 1))
    master.publish(letters("a", first=5), 0)
    master.publish(letters("b", first=6), 0)
    for note in master.take_notes()[:-1]:  # not the last letter itself
        mirror.apply(note.record, note.raw)
    successor = master_of(mirror.copy, term=20)
    assert [note.record for note in successor.take_notes()][1:] == [records.Origin(1, 20, "letters 7 3 5", 1, [(5, 5)])]
    successor.publish(letters("a", "b", first=5), 0)
    assert successor.queue.messages_ready == 2


def test_what_the_log_of_a_new_master_lacks_is_not_claimed_by_its_mirror():
    mirror = Mirror(Copy(1, True))
    mirror.receive_offer(Offer(1, 10, [(10, 1)], 1))
    master = master_of()
    for position in (5, 6, 7):
        master.publish(letters("x", first=position), 0)
    for note in master.take_notes():
        mirror.apply(note.record, note.raw)
    mirror.take_entries()
    mirror.receive_offer(Offer(1, 20, [(10, 1), (20, 3)], 3))
    assert mirror.copy.repeats.fresh(place(5), 3) == [(2, 3)]
    assert records.Origin(1, 20, "letters 7 3 5", 2, [(5, 6)]) in [entry.record for entry in mirror.take_entries()]


@pytest.mark.parametrize("persistent", [True, False])
def test_only_letters_that_last_are_remembered_on_disk(persistent):
    master = Master(Copy(1, True), 10, Settings(), mirrored=False)
    master.take_notes()
    run = run_of("a")
    run.traits = run.traits.changed(persistent=persistent)
    master.publish(PassedRun(run, place(5)), 0)
    assert kinds(master) == ([("Origin", True), ("Publish", True)] if persistent else [])
    assert master.copy.repeats.fresh(place(5), 1) == []
