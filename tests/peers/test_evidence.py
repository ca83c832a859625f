"""What proves a life over (S10), sight by sight, without a socket."""

from broker.peers.evidence import LOOKS_MAX, Evidence
from broker.peers.introduction import Identity

FIRST = Identity("n2", 1, "folder")
SECOND = Identity("n2", 2, "folder")
ELSEWHERE = Identity("n2", 1, "another folder")


def seen_and_closed(*, dialled=True):
    evidence = Evidence()
    evidence.opened(FIRST, dialled=dialled)
    evidence.closed()
    return evidence


def test_two_refusals_within_twenty_milliseconds_prove_it():
    evidence = seen_and_closed()
    assert evidence.refused(1.000, 1.001) is None
    assert evidence.refused(1.010, 1.020) == FIRST
    assert evidence.known is None
    assert evidence.refused(1.022, 1.023) is None, "proven once"


def test_two_refusals_further_apart_do_not():
    evidence = seen_and_closed()
    assert evidence.refused(1.000, 1.001) is None
    assert evidence.refused(1.020, 1.022) is None
    assert evidence.refused(1.030, 1.031) == FIRST, "but the later one counts as the first of the next two"


def test_two_dials_at_once_are_one_look():
    evidence = seen_and_closed()
    assert evidence.refused(1.000, 1.002) is None
    assert evidence.refused(1.001, 1.003) is None


def test_nobody_unseen_is_dead():
    evidence = Evidence()
    assert evidence.refused(1.000, 1.001) is None
    assert evidence.refused(1.002, 1.003) is None
    assert not evidence.wants_another_look()


def test_who_was_never_seen_to_listen_is_not_dead_for_not_listening():
    evidence = seen_and_closed(dialled=False)
    assert evidence.refused(1.000, 1.001) is None
    assert evidence.refused(1.002, 1.003) is None


def test_while_a_connection_is_left_nothing_is_proven():
    evidence = seen_and_closed()
    evidence.opened(FIRST, dialled=False)
    assert evidence.refused(1.000, 1.001) is None
    assert evidence.refused(1.002, 1.003) is None
    assert evidence.wants_another_look()
    evidence.closed()
    assert evidence.refused(1.004, 1.005) is None
    assert evidence.refused(1.006, 1.007) == FIRST


def test_quick_looks_are_few():
    evidence = seen_and_closed()
    assert not evidence.wants_another_look()
    looks = 0
    while not looks or evidence.wants_another_look():
        looks += 1
        assert evidence.refused(float(looks), looks + 0.1) is None
    assert looks == LOOKS_MAX


def test_a_dial_that_fails_otherwise_proves_nothing_but_is_worth_another_look():
    evidence = seen_and_closed()
    assert evidence.refused(1.000, 1.001) is None
    evidence.failed()
    assert evidence.wants_another_look()
    assert evidence.refused(1.002, 1.003) is None, "somebody answered in between"
    assert evidence.refused(1.004, 1.005) == FIRST
    unseen = Evidence()
    unseen.failed()
    assert not unseen.wants_another_look()


def test_a_connection_between_two_refusals_takes_them_back():
    evidence = seen_and_closed()
    evidence.refused(1.000, 1.001)
    evidence.opened(FIRST, dialled=True)
    evidence.closed()
    assert evidence.refused(1.010, 1.011) is None


def test_a_newer_life_of_the_folder_ends_the_older_whoever_dialled():
    for dialled in (False, True):
        evidence = seen_and_closed()
        assert evidence.believes(SECOND, dialled=dialled)
        assert evidence.ends(SECOND) == FIRST
        evidence.opened(SECOND, dialled=dialled)
        assert evidence.known == SECOND
        assert evidence.ends(SECOND) is None


def test_another_folder_ends_it_only_where_this_node_dialled():
    evidence = seen_and_closed()
    assert not evidence.believes(ELSEWHERE, dialled=False)
    assert evidence.believes(ELSEWHERE, dialled=True)
    assert evidence.ends(ELSEWHERE) == FIRST


def test_what_is_over_does_not_come_back():
    evidence = seen_and_closed()
    evidence.ends(ELSEWHERE)
    evidence.opened(ELSEWHERE, dialled=True)
    assert not evidence.believes(FIRST, dialled=True), "a late answer"
    older = Identity("n2", 0, "another folder")
    assert not evidence.believes(older, dialled=True)
    evidence.closed()
    evidence.refused(1.000, 1.001)
    evidence.refused(1.002, 1.003)
    assert evidence.known is None
    assert not evidence.believes(ELSEWHERE, dialled=True)
    assert evidence.believes(SECOND, dialled=False)
