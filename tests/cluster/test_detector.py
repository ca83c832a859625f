"""Who is alive: proof at once, silence after net_ticktime, and no verdict over what was not watched."""

from broker.cluster.detector import Detector, Verdict


def test_a_proven_end_is_believed_at_once() -> None:
    detector = Detector(5.0, 0.0)
    detector.link_up("n2", 3, 1.0)
    assert detector.verdict("n2", 3, 1.5) is None
    detector.link_down("n2", 3, proven=True)
    assert detector.verdict("n2", 3, 1.5) == Verdict(proven=True)


def test_a_broken_link_proves_nothing() -> None:
    detector = Detector(5.0, 0.0)
    detector.link_up("n2", 3, 1.0)
    detector.link_down("n2", 3, proven=False)
    assert detector.verdict("n2", 3, 5.9) is None
    assert detector.verdict("n2", 3, 6.1) == Verdict(proven=False)


def test_a_newer_life_ends_the_older_and_news_of_the_older_is_ignored() -> None:
    detector = Detector(5.0, 0.0)
    detector.link_up("n2", 3, 1.0)
    detector.link_up("n2", 4, 1.1)
    detector.link_down("n2", 3, proven=True)
    detector.link_up("n2", 3, 1.2)
    assert detector.verdict("n2", 3, 1.2) == Verdict(proven=True)
    assert detector.verdict("n2", 4, 1.2) is None
    assert detector.peer("n2").up


def test_a_proof_outlives_the_life_that_found_it_and_covers_all_earlier_lives() -> None:
    detector = Detector(5.0, 0.0, {"n2": 3})
    assert detector.verdict("n2", 3, 0.1) == detector.verdict("n2", 2, 0.1) == Verdict(proven=True)
    assert detector.verdict("n2", 4, 0.1) is None
    detector.link_up("n2", 4, 1.0)
    detector.link_up("n2", 6, 2.0)
    assert detector.over == {"n2": 4}
    detector.link_down("n2", 6, proven=True)
    assert detector.over == {"n2": 6}


def test_the_proof_of_another_member_does_not_count_against_a_link() -> None:
    detector = Detector(5.0, 0.0)
    detector.link_up("n2", 3, 1.0)
    detector.hear_of_deaths({"n2": 3, "n3": 7})
    assert detector.verdict("n2", 3, 1.5) is None
    assert detector.verdict("n3", 7, 1.5) == Verdict(proven=True)
    detector.link_up("n3", 7, 1.5)
    assert detector.verdict("n3", 7, 1.6) is None
    detector.link_down("n2", 3, proven=False)
    assert detector.verdict("n2", 3, 1.7) is None
    detector.hear_of_deaths({"n2": 3})
    assert detector.verdict("n2", 3, 1.7) == Verdict(proven=True)


def test_only_silence_ends_what_was_never_met() -> None:
    detector = Detector(5.0, 10.0)
    assert not detector.met("n2", 1)
    assert detector.verdict("n2", 1, 14.0) is None
    assert detector.verdict("n2", 1, 15.1) == Verdict(proven=False)


def test_silence_counts_only_while_this_member_was_awake() -> None:
    detector = Detector(5.0, 0.0)
    detector.link_up("n2", 1, 0.0)
    detector.watch_anew(60.0)
    assert detector.verdict("n2", 1, 61.0) is None
    detector.heard("n2", 62.0)
    assert not detector.silent("n2", 66.9)
    assert detector.silent("n2", 67.1)


def test_what_this_member_missed_by_its_own_fault_is_not_held_against_others() -> None:
    detector = Detector(5.0, 0.0)
    detector.link_up("n2", 1, 1.0)
    detector.link_up("n3", 1, 3.9)
    detector.overslept(2.0, 5.0)
    assert detector.verdict("n2", 1, 7.9) is None
    assert detector.next_silence(5.0) == 8.0
    assert detector.verdict("n2", 1, 8.0) == Verdict(proven=False)
    assert detector.next_silence(8.0) == 10.0  # n3 was not heard later than now
    assert detector.next_silence(10.0) == float("inf")
