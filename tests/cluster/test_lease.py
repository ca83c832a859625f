"""The lease: what counts, and from when on."""

import pytest

from broker.cluster.lease import Lease


@pytest.fixture
def lease():
    return Lease(10.0)


def test_it_counts_from_when_the_heartbeat_was_sent(lease):
    lease.confirm(5.0, known=0, applied=0)
    assert lease.until == 11.0
    lease.confirm(4.0, known=0, applied=0)
    assert lease.until == 11.0


def test_an_answer_counts_once_everything_is_applied_that_was_known_when_it_was_given(lease):
    """Else a member that slept while it was replaced acts for as long as its disk takes to let it know."""
    lease.suspend(5.0)
    lease.confirm(5.5, known=7, applied=3)
    lease.applied(6)
    assert lease.suspended
    assert lease.until < 0
    lease.applied(7)
    assert not lease.suspended
    assert lease.until == 11.5


def test_what_a_later_answer_waits_for_keeps_no_earlier_one_back(lease):
    lease.confirm(1.0, known=5, applied=4)
    lease.confirm(1.0, known=9, applied=4)
    lease.confirm(2.0, known=9, applied=4)
    lease.applied(5)
    assert lease.until == 7.0
    lease.applied(9)
    assert lease.until == 8.0


def test_who_stood_still_forgets_what_it_waited_for(lease):
    lease.confirm(1.0, known=5, applied=4)
    lease.suspend(2.0)
    lease.applied(5)
    assert lease.suspended
    lease.confirm(1.5, known=5, applied=5)
    assert lease.suspended
    lease.confirm(2.0, known=5, applied=5)
    assert not lease.suspended
