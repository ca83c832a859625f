"""How far two copies have the same history (S4)."""

import pytest

from broker.mirroring.terms import Terms


def test_a_mirror_that_is_behind_shares_all_it_has() -> None:
    assert Terms([(5, 1)]).common([(5, 1)], 80) == 80


def test_a_tail_that_a_newer_master_overwrote_is_not_common() -> None:
    assert Terms([(5, 1)]).common([(5, 1), (12, 101)], 120) == 100


def test_two_masters_after_a_common_one_share_only_what_it_wrote() -> None:
    assert Terms([(5, 1), (9, 101)]).common([(5, 1), (12, 90)], 140) == 89


def test_different_first_terms_share_nothing() -> None:
    assert Terms([(5, 1)]).common([(7, 1)], 10) == 0


def test_a_copy_without_history_shares_nothing() -> None:
    assert Terms().common([(5, 1)], 0) == 0


def test_a_new_term_voids_what_was_begun_at_or_behind_its_first_position() -> None:
    terms = Terms([(5, 1), (9, 101)])
    terms.begin(12, 101)
    assert terms.entries == [(5, 1), (12, 101)]


def test_a_term_that_is_not_newer_is_refused() -> None:
    with pytest.raises(ValueError, match="does not follow"):
        Terms([(5, 1)]).begin(5, 10)
