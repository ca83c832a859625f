"""Catch-up keeps below what an operator allows it, evenly, and goes in batches as policy or setting say."""

import pytest

from broker.mirroring.pacing import BATCH_MESSAGES, Pacing

MEBIBYTE = 1024 * 1024


def test_without_a_limit_nobody_rests():
    pacing = Pacing()
    pacing.spend(1, "n2", MEBIBYTE, 0.0)
    assert pacing.rest_s(1, "n2", 0.0) == 0
    assert pacing.carries_bytes(1) is None


def test_over_any_time_no_more_is_sent_than_the_limit_and_one_chunk():
    pacing, now, sent = Pacing(bytes_per_s=1000), 5.0, 0
    for _ in range(20):
        pacing.spend(1, "n2", 50, now)
        sent += 50
        now += pacing.rest_s(1, "n2", now)
        assert sent <= 1000 * (now - 5.0) + 50
    assert now == pytest.approx(6.0)


def test_what_was_not_used_is_not_saved_up():
    pacing = Pacing(bytes_per_s=1000)
    pacing.spend(1, "n2", 1000, 0.0)
    pacing.spend(1, "n2", 1000, 100.0)
    assert pacing.rest_s(1, "n2", 100.0) == 1


def test_each_mirror_of_each_queue_has_its_own():
    pacing = Pacing(bytes_per_s=1000)
    pacing.spend(1, "n2", 1000, 0.0)
    assert [pacing.rest_s(*who, 0.25) for who in ((1, "n2"), (1, "n3"), (2, "n2"))] == [0.75, 0, 0]


@pytest.mark.parametrize(
    ("setting", "policy", "messages"),
    [(4096, None, 4096), (10, None, 10), (10, 20, 20), (10, 1, 10), (1, None, 1), (4096, 100_000, 100_000)],
)
def test_policy_before_setting_and_one_stands_for_the_setting(setting, policy, messages):
    definition = {} if policy is None else {"ha-sync-batch-size": policy}
    assert Pacing(setting).batch_of(definition, 100) == messages


def test_with_a_limit_a_batch_is_a_little_while_of_it():
    assert Pacing(bytes_per_s=100_000).batch_of({}, 100) == 50
    assert Pacing(bytes_per_s=100).batch_of({}, 100) == 1
    assert Pacing(bytes_per_s=MEBIBYTE * 1000).batch_of({}, 100) == BATCH_MESSAGES
    assert Pacing(20, MEBIBYTE).batch_of({}, 100) == 20
