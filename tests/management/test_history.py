"""Samples, rates and curves: time is what the test says."""

import pytest

from broker.management import ledger
from broker.management.counted import Counted, detailed, instants_of, message_stats, together, totals
from broker.management.history import BASIC, FINE, History, Range, averages
from broker.management.ledger import QUEUE_FIGURES, Shelf
from broker.management.refusals import BadRequest

T0 = 1_700_000_000_000


def noted(*samples, grains=FINE):
    history = History(1, grains)
    for second, value in samples:
        history.note(T0 + 1000 * second, (value,))
    return history


@pytest.mark.parametrize(
    ("samples", "now", "rate"),
    [
        ([(0, 7)], 1, 0.0),
        ([(0, 0), (5, 10)], 6, 2.0),
        ([(0, 10), (5, 0)], 6, -2.0),
        ([(0, 0), (6, 9)], 7, 1.5),  # looked at a second late
        ([(0, 0), (5, 5), (8, 11)], 9, 2.0),  # looked at early, as others went
        ([(0, 0), (5, 10)], 13, 0.0),  # and a look since that found nothing new
        ([(0, 0), (60, 10)], 61, 2.0),  # the look before found what was known
    ],
)
def test_a_rate_is_what_the_last_two_looks_found(samples, now, rate):
    assert noted(*samples).rates(T0 + 1000 * now) == [rate]


def test_nothing_was_seen_yet():
    history = History(2)
    assert (history.rates(T0), history.newest, history.at([T0])) == ([0.0, 0.0], None, [None])
    assert history.idle_since_ms(T0) is None


def test_a_sample_stands_until_there_is_another():
    history = noted((0, 1), (30, 4))
    at = [T0 + 1000 * second for second in (90, 30, 29, 0, -1)]
    assert history.at(at) == [(4,), (4,), (1,), (1,), None]
    assert history.idle_since_ms(T0 + 90_000) == T0 + 30_000
    assert history.idle_since_ms(T0 + 31_000) is None


def test_what_is_long_ago_is_remembered_less_closely():
    history = noted(*((5 * number, number) for number in range(1000)), grains=BASIC)
    now = T0 + 5000 * 999
    assert len(history) <= 123 + 62
    closely, roughly, never = history.at([now - 300_000, now - 3_000_000, now - 4_500_000])
    assert closely == (999 - 60,)
    assert 999 - 600 - 12 <= roughly[0] <= 999 - 600
    assert never is None


def test_an_old_beginning_is_kept():
    """Of what is too old the newest stands until the next."""
    history = noted((0, 4), (5, 5), (86_000, 6))
    history.forget(T0 + 86_400_000)
    assert history.at([T0 + 1000 * second for second in (86_000, 85_999, 5, 4)]) == [(6,), (5,), (5,), None]


def test_points_of_a_curve():
    now = T0 + 7000
    assert Range(60, 20).instants(now) == [T0, T0 - 20_000, T0 - 40_000, T0 - 60_000]
    assert len(Range(5, 60).instants(now)) == 1
    assert len(Range(601, 5).instants(now)) == 121


@pytest.mark.parametrize(
    ("age", "incr", "points"),
    [
        ("2504", "5", 501),
        ("5", "60", 1),
        ("86400", "1800", 49),
        ("x", "5", None),
        ("60", "", None),
        ("2505", "5", 0),
        ("3600", "5", 0),
        ("0", "5", 0),
        ("60", "0", 0),
        ("-5", "5", 0),
    ],
)
def test_which_curves_there_are(age, incr, points):
    queries = {"lengths_age": age, "lengths_incr": incr}
    if points == 0:
        with pytest.raises(BadRequest, match=f"Invalid range parameters: age {age}, incr {incr}"):
            instants_of(queries, T0)
    else:
        found = instants_of(queries, T0)
        assert (len(found["lengths"]) if found else None) == points


def test_averages():
    assert averages([(T0, 30), (T0 - 5000, 20), (T0 - 10_000, 10)]) == {"avg": 20, "avg_rate": 2}
    assert averages([(T0, 30)]) == {}


def test_details_have_rates_and_curves():
    values = [3, 4, 0, 9, 0, 0, 0, 0, 0, 0]
    rates = [0.5, 1.5, 0, 2.0, 0, 0, 0, 0, 0, 0]
    samples = {"lengths": [[3, 4, *values[2:]], [1, 1, *values[2:]], None], "msg_rates": []}
    counted = Counted(values, rates, samples)
    points = [T0, T0 - 5000, T0 - 10_000]
    assert detailed(counted, QUEUE_FIGURES, totals, "lengths", points)["messages_details"] == {
        "rate": 2.0,
        "samples": [{"sample": 7, "timestamp": T0}, {"sample": 2, "timestamp": T0 - 5000}],
        "avg": 4.5,
        "avg_rate": 1.0,
    }
    happened = message_stats(counted, QUEUE_FIGURES, {})
    assert happened == {"publish": 9, "publish_details": {"rate": 2.0}}
    went = message_stats(Counted([*values[:-1], 1], rates, samples), QUEUE_FIGURES, {})
    assert (went["ack"], went["redeliver"], went["deliver_get_details"]) == (0, 1, {"rate": 0.0})
    assert message_stats(Counted([3] * 3 + [0] * 7, [0.0] * 10), QUEUE_FIGURES, {}) == {}


def test_what_nodes_tell_adds_up():
    one = Counted([1], [0.5], {"lengths": [[1], [1], None]})
    other = Counted([2], [1.0], {"lengths": [[2], None, None]})
    assert together([one, other], 1) == Counted([3], [1.5], {"lengths": [[3], [1], None]})
    assert together([], 2) == Counted([0, 0], [0.0, 0.0])


def test_much_is_remembered_of_few_and_little_of_many(monkeypatch):
    monkeypatch.setattr(ledger, "TIDY_EVERY", 2)
    shelf = Shelf(1, FINE, samples_max=40)
    for second in range(0, 100, 5):
        for key in "abcd":
            shelf.note(key, T0 + 1000 * second, (second,))
            shelf.note("still", T0 + 1000 * second, (7,))
        for _ in shelf.tidy(T0 + 1000 * second):
            pass
    assert sum(map(len, shelf.histories.values())) <= 40 + 4
    assert shelf.histories["a"].rates(T0 + 96_000) == [1.0]
    assert len(shelf.histories["still"]) == 1
    shelf.keep({"a"})
    assert list(shelf.histories) == ["a"]
