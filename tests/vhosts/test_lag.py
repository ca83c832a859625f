"""A catch-up that does not get shorter makes publishers slower, so it ends (S5)."""

import pytest

from broker.mirroring.follower import Follower
from broker.mirroring.pacing import Pacing
from broker.vhosts.lag import SHARES, WINDOW_MS, Lag
from tests.mirroring.lane import run_of
from tests.vhosts.fakes import FakeSwitchboard
from tests.vhosts.test_local import local_of

KIBIBYTE = "x" * 1024


@pytest.fixture
def local():
    return local_of(FakeSwitchboard(), mirrored=True)


def lacking(local, count, node="n2", life=1):
    follower = local.master.witnesses.followers.setdefault(node, Follower(node, life))
    follower.missing = [(1, count)] if count else []


def shares(local, *counts):
    """What is said at the end of each window, when so much is missing then."""
    lag = Lag()
    said = []
    for number, count in enumerate(counts):
        lacking(local, count)
        said.append(lag.look([local], number * WINDOW_MS))
    return said


def test_nobody_waits_while_a_short_rest_shrinks_by_a_quarter(local):
    assert shares(local, 1000, 750, 560, 400, 300) == [1.0] * 5


def test_nobody_waits_while_a_long_rest_shrinks_steadily(local):
    local.publish(run_of(KIBIBYTE), None)
    assert shares(local, 100_000, 99_700, 99_400) == [1.0] * 3
    assert shares(local, 100_000, 99_800) == [1.0, 0.5], "it would take for ever"
    assert shares(local, 10_000_000, 9_990_000) == [1.0, 0.5]
    assert shares(local, 10_000_000, 9_980_000) == [1.0, 1.0]


def test_publishers_get_slower_until_it_shrinks_and_faster_while_it_does(local):
    assert shares(local, *[1000] * 9) == [*SHARES, 0.0, 0.0]
    said = shares(local, 1000, 1200, 1300, 900, 600, 400)
    assert said == [1.0, 0.5, 0.25, 0.5, 1.0, 1.0]


def test_within_a_window_nothing_is_judged(local):
    lag = Lag()
    lacking(local, 1000)
    assert lag.look([local], 0) == 1.0
    assert lag.look([local], WINDOW_MS - 1) == 1.0
    assert lag.look([local], WINDOW_MS) == 0.5
    lacking(local, 1)
    assert lag.look([local], 2 * WINDOW_MS - 1) == 0.5
    assert lag.look([local], 2 * WINDOW_MS) == 1.0


def test_the_one_that_is_furthest_behind_counts(local):
    lag = Lag()
    for number, counts in enumerate(((1000, 1000), (1000, 700), (1000, 500))):
        lacking(local, counts[0])
        lacking(local, counts[1], node="n3")
        said = lag.look([local], number * WINDOW_MS)
    assert said == 0.25


def test_a_catch_up_that_ended_or_began_anew_is_forgotten(local):
    lag = Lag()
    lacking(local, 1000)
    lag.look([local], 0)
    assert lag.look([local], WINDOW_MS) == 0.5
    lacking(local, 0)
    assert lag.look([local], WINDOW_MS + 100) == 1.0
    lacking(local, 1000)
    assert lag.look([local], 2 * WINDOW_MS + 200) == 1.0
    local.master.witnesses.followers["n2"] = Follower("n2", 2)
    lacking(local, 1000, life=2)
    assert lag.look([local], 3 * WINDOW_MS + 200) == 1.0


def test_of_a_paced_catch_up_no_more_is_asked_than_half_of_what_it_may_send(local):
    local.publish(run_of(KIBIBYTE), None)
    mean_bytes = local.queue.mean_bytes
    for shrinks, share in ((60, 1.0), (40, 0.5)):
        lag = Lag(Pacing(bytes_per_s=100 * mean_bytes * 1000 // WINDOW_MS))
        lacking(local, 100_000)
        lag.look([local], 0)
        lacking(local, 100_000 - shrinks)
        assert lag.look([local], WINDOW_MS) == share
