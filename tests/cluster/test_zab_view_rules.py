"""Rules of views broken on purpose: seeds find each of them (the rarer ones are played in `test_zab_views`)."""

from collections.abc import Callable
from functools import partial

import pytest

from broker.cluster import bonds, lineage, partitions
from broker.cluster.entries import DamagedLog
from broker.cluster.member import Diverged, Member
from broker.cluster.views import ViewVote
from tests.simulation.test_zab_view_seeds import run_seed_of_a_view_that_hardly_came_about, run_view_seed
from tests.simulation.zab_judges import Broken

CONTINUING = bonds.continuing
MISSED = bonds._missed


def complaint(size: int, seeds: range, *, torn: bool = False) -> str:
    """What the first judge of safety says; judges of progress are passed over."""
    return complaint_of(partial(run_view_seed, size=size, torn=torn), seeds)


def complaint_of(run: Callable[[int], object], seeds: range) -> str:
    for seed in seeds:
        try:
            run(seed)
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


def test_giving_up_what_nobody_has_shown_not_to_be_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "_may_be_committed", lambda rolls, lacking, other, heard: False)
    assert "Broken: evidence" in complaint_of(run_seed_of_a_view_that_hardly_came_about, range(20))


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
