"""The judge sees loss, repetition and disorder where they are, and nothing where they are not."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.perf.judge import Judge, percentile, promotion_figures


def judged(confirmed: list[int], delivered: list[tuple[int, bool]], published: int = 5) -> dict[str, object]:
    judge = Judge()
    stream = judge.open_stream("drill.1", "n1")
    for at in range(published):
        stream.publish(float(at))
    for number in confirmed:
        stream.confirm(number, number, 10.0)
    for number, redelivered in delivered:
        judge.deliver(1, stream.identity, number, redelivered=redelivered)
    return judge.verdict()


def plainly(*numbers: int) -> list[tuple[int, bool]]:
    return [(number, False) for number in numbers]


def test_everything_arrived() -> None:
    verdict = judged([1, 2, 3, 4, 5], plainly(1, 2, 3, 4, 5))
    assert (verdict["confirmed"], verdict["delivered"], verdict["lost"], verdict["duplicated"]) == (5, 5, 0, 0)
    assert (verdict["reordered"], verdict["unanswered"], verdict["lost_samples"]) == (0, 0, [])


def test_a_confirmed_message_that_nobody_got_is_lost() -> None:
    verdict = judged([1, 2, 3], plainly(1, 3))
    assert verdict["lost"] == 1
    assert verdict["lost_samples"] == [{"queue": "drill.1", "node": "n1", "stream": 0, "number": 2}]


def test_an_unconfirmed_message_is_nobodys_loss_whether_it_arrives_or_not() -> None:
    verdict = judged([1], plainly(1, 2))
    assert (verdict["lost"], verdict["delivered"], verdict["unanswered"]) == (0, 2, 4)


def test_a_repetition_without_the_flag_is_a_duplicate() -> None:
    verdict = judged([1, 2], plainly(1, 2, 2))
    assert (verdict["duplicated"], verdict["redelivered"]) == (1, 0)


def test_a_repetition_with_the_flag_is_redelivery_and_no_disorder() -> None:
    verdict = judged([1, 2, 3], [(1, False), (2, False), (1, True), (2, True), (3, False)])
    assert (verdict["duplicated"], verdict["redelivered"], verdict["reordered"]) == (0, 2, 0)


def test_the_original_of_a_redelivery_may_come_late() -> None:
    verdict = judged([1], [(1, True), (1, False)])
    assert (verdict["duplicated"], verdict["redelivered"]) == (0, 1)


def test_descending_numbers_in_one_subscription_are_disorder() -> None:
    assert judged([1, 2, 3], plainly(1, 3, 2))["reordered"] == 1


def test_subscriptions_share_a_queue_without_disorder() -> None:
    judge = Judge()
    stream = judge.open_stream("drill.1", "n1")
    for _ in range(4):
        stream.publish(0.0)
    for subscription, number in ((1, 1), (2, 4), (1, 2), (1, 3)):
        judge.deliver(subscription, stream.identity, number, redelivered=False)
    assert judge.verdict()["reordered"] == 0


def test_a_message_nobody_published_is_unknown() -> None:
    judge = Judge()
    judge.deliver(1, 7, 1, redelivered=False)
    stream = judge.open_stream("drill.1", "n1")
    judge.deliver(1, stream.identity, 1, redelivered=False)
    assert judge.verdict()["unknown"] == 2


def test_refused_messages_are_counted_apart() -> None:
    judge = Judge()
    stream = judge.open_stream("drill.1", "n1")
    for _ in range(3):
        stream.publish(0.0)
    stream.confirm(1, 1, 1.0)
    stream.refuse(2, 2)
    verdict = judge.verdict()
    assert (verdict["confirmed"], verdict["refused"], verdict["unanswered"]) == (1, 1, 1)


def test_what_was_set_aside_is_not_lost() -> None:
    judge = Judge()
    stream = judge.open_stream("drill.1", "n1")
    for _ in range(3):
        stream.publish(0.0)
    stream.confirm(1, 3, 1.0)
    verdict = judge.verdict(set_aside=[(stream.identity, 2)])
    assert (verdict["lost"], verdict["set_aside"]) == (2, 1)


def test_promotion_counts_from_the_death_to_the_first_confirm_of_a_later_message_on_a_survivor() -> None:
    judge = Judge()
    doomed, survivor = judge.open_stream("drill.1", "n1"), judge.open_stream("drill.1", "n2")
    other = judge.open_stream("drill.2", "n2")
    for stream in (doomed, survivor, other):
        for at in (9.9, 10.01, 10.02):
            stream.publish(at)
    survivor.confirm(1, 1, 10.05)  # published before the death: another's merit
    doomed.confirm(2, 2, 10.03)  # not on a surviving node
    other.confirm(1, 3, 10.04)  # another queue
    assert judge.promotion_ms("drill.1", 10.0, {"n2", "n3"}) is None
    survivor.confirm(2, 3, 10.08)
    assert judge.promotion_ms("drill.1", 10.0, {"n2", "n3"}) == pytest.approx(80)


def test_a_cumulative_confirm_keeps_earlier_times() -> None:
    judge = Judge()
    stream = judge.open_stream("q", "n1")
    for _ in range(3):
        stream.publish(1.0)
    stream.confirm(2, 2, 2.0)
    stream.confirm(1, 9, 3.0)
    assert stream.confirmed_at == [3.0, 2.0, 3.0]


@given(st.integers(1, 200), st.integers(0, 2**32))
def test_loss_is_found_exactly(count: int, seed: int) -> None:
    chance = Random(seed)
    confirmed = [n for n in range(1, count + 1) if chance.random() < 0.8]
    delivered = [n for n in range(1, count + 1) if chance.random() < 0.9]
    verdict = judged(confirmed, plainly(*delivered), published=count)
    assert verdict["lost"] == len(set(confirmed) - set(delivered))
    assert verdict["reordered"] == verdict["duplicated"] == verdict["unknown"] == 0


def test_percentiles_by_nearest_rank() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0], 99) == 3.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.0
    assert percentile(range(1, 101), 99) == 99


def test_promotions_are_summed_up_per_cause() -> None:
    figures = promotion_figures(
        [
            {"cause": "kill", "ms": 50.0},
            {"cause": "kill", "ms": 90.0},
            {"cause": "freeze", "ms": 2000.0},
            {"cause": "freeze", "ms": None},
        ]
    )
    assert figures["promotion_ms"] == {"freeze": {"p50": 2000.0, "p99": 2000.0}, "kill": {"p50": 50.0, "p99": 90.0}}
    assert (figures["promotion_ms_p50"], figures["promotion_ms_p99"]) == (90.0, 2000.0)
