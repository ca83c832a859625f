"""A catch-up that does not get shorter makes publishers wait, so it ends (S5)."""

import pytest

from broker.mirroring.follower import Follower
from broker.vhosts.lag import WINDOW_MS, Lag
from tests.vhosts.fakes import FakeSwitchboard
from tests.vhosts.test_local import local_of


@pytest.fixture
def local():
    return local_of(FakeSwitchboard(), mirrored=True)


def lacking(local, count, node="n2", life=1):
    follower = local.master.witnesses.followers.setdefault(node, Follower(node, life))
    follower.missing = [(1, count)] if count else []


def test_nobody_waits_while_the_rest_shrinks(local):
    lag = Lag()
    for second, count in enumerate((1000, 740, 540, 400)):
        lacking(local, count)
        assert not lag.look([local], second * WINDOW_MS)


def test_publishers_wait_from_a_second_without_progress_until_a_quarter_is_done(local):
    lag = Lag()
    lacking(local, 1000)
    assert not lag.look([local], 0)
    lacking(local, 1200)
    assert not lag.look([local], WINDOW_MS - 100)
    assert lag.look([local], WINDOW_MS)
    lacking(local, 800)
    assert lag.look([local], WINDOW_MS + 100)
    lacking(local, 750)
    assert not lag.look([local], WINDOW_MS + 200)


def test_a_catch_up_that_ended_or_began_anew_is_forgotten(local):
    lag = Lag()
    lacking(local, 1000)
    lag.look([local], 0)
    assert lag.look([local], WINDOW_MS)
    lacking(local, 0)
    assert not lag.look([local], WINDOW_MS + 100)
    lacking(local, 1000)
    assert not lag.look([local], 2 * WINDOW_MS + 200)
    local.master.witnesses.followers["n2"] = Follower("n2", 2)
    lacking(local, 1000, life=2)
    assert not lag.look([local], 3 * WINDOW_MS + 100)
