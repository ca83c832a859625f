"""Rules of views broken on purpose: seeds find each of them (the rarer ones are played in `test_zab_views`)."""

import pytest

from broker.cluster import bonds, partitions
from broker.cluster.entries import DamagedLog
from broker.cluster.member import Diverged, Member
from broker.cluster.views import ViewVote
from tests.simulation.test_zab_view_seeds import run_view_seed
from tests.simulation.zab_judges import Broken

CONTINUING = bonds.continuing
MISSED = bonds._missed


def complaint(size: int, seeds: range, *, torn: bool = False) -> str:
    """What the first judge of safety says; judges of progress are passed over."""
    for seed in seeds:
        try:
            run_view_seed(seed, size, torn=torn)
        except (Broken, Diverged, DamagedLog) as broken:
            if not str(broken).startswith("progress"):
                return f"{seed} {type(broken).__name__}: {broken}"
    return "nobody noticed"


def test_committing_without_one_of_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = partitions._reached
    monkeypatch.setattr(
        partitions, "_reached", lambda group, marks, folders, place: reached(group, marks, folders, len(group) // 2)
    )
    assert "Broken: view" in complaint(3, range(10))


def test_epochs_that_two_leaders_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def next_one(self: ViewVote) -> int:
        ballots = self._member.ballots.values()
        return max([self._member.accepted_epoch, *(ballot.status.accepted_epoch for ballot in ballots)]) + 1

    monkeypatch.setattr(ViewVote, "next_epoch", next_one)
    assert "Broken: leadership" in complaint(3, range(10), torn=True)


@pytest.mark.slow
def test_a_restarted_node_that_serves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bonds, "continuing", lambda member: not member.lease.suspended)
    assert "Broken" in complaint(2, range(40))


@pytest.mark.slow
def test_a_sleeper_that_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    def awake(member: Member) -> bool:
        suspended, member.lease.suspended = member.lease.suspended, False
        try:
            return CONTINUING(member)
        finally:
            member.lease.suspended = suspended

    monkeypatch.setattr(bonds, "continuing", awake)
    assert "Broken" in complaint(2, range(40))


@pytest.mark.slow
def test_going_on_without_those_who_are_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_that_lives(member, view, folders, now):
        return set() if CONTINUING(member) else MISSED(member, view, folders, now)

    monkeypatch.setattr(bonds, "_missed", none_that_lives)
    assert "Broken" in complaint(3, range(100))
