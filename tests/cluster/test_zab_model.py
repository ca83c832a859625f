"""Every order of events in small configurations of the agreement machine keeps the promises; broken rules are found."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from broker.cluster import bonds
from broker.cluster.entries import Accept, DamagedLog, Entry, LogOp
from broker.cluster.following import Following
from broker.cluster.history import History
from broker.cluster.partitions import IGNORE, Electorate, QuorumRule
from broker.cluster.zab import Zab
from tests.cluster.zab_model import Bounds, Model, State
from tests.simulation.zab_disk import Disk
from tests.simulation.zab_judges import Broken

ALL = 10_000_000
"""More states than there are in those searches that come to an end."""
STATES = int(os.environ.get("WARREN_STATES") or 30_000)
"""So far go those that do not."""


def established(model: Model) -> State:
    return model.established()


def outlived(model: Model) -> State:
    """A leader died with an entry that only it has; the next one has gone on."""
    state = model.established()._replace(left=Bounds(proposals=1, deaths=1))
    for act in ("n3 proposes", "n3 writes", "n3 dies, and nobody hears its last words"):
        state = model.act(state, act)
    state = model.settled(state)._replace(left=Bounds(proposals=1, deaths=0))
    return model.settled(model.act(state, "n2 proposes"))


def gone_on_alone(model: Model) -> State:
    """By views: two died one after the other, the third committed something alone and died, too."""
    state = model.established()
    for name in ("n3", "n1"):
        state = model.settled(model.act(state._replace(left=Bounds(proposals=0, deaths=1)), f"{name} dies"))
    state = model.settled(model.act(state._replace(left=Bounds(proposals=1, deaths=0)), "n2 proposes"))
    assert state.history
    return model.act(state._replace(left=Bounds(proposals=0, deaths=1)), "n2 dies")


def visited_by_views(
    bounds: Bounds, *, begin: Callable[[Model], State], states_max: int = ALL, prompt_disks: bool = True
) -> int:
    """Where not a majority decides but all that are in view."""
    model = Model(partial(Zab, rule=QuorumRule(IGNORE)), prompt_disks=prompt_disks, copies=1)
    return model.search(begin(model)._replace(left=bounds), states_max)


def visited(
    bounds: Bounds,
    *,
    begin: Callable[[Model], State] = established,
    states_max: int = ALL,
    prompt_disks: bool = False,
) -> int:
    model = Model(prompt_disks=prompt_disks)
    return model.search(begin(model)._replace(left=bounds), states_max)


def test_a_proposal_with_a_death_anywhere_in_it() -> None:
    assert visited(Bounds(proposals=1, deaths=1), prompt_disks=True) > 1000


def test_the_return_of_a_leader_that_was_outlived() -> None:
    assert visited(Bounds(proposals=0, deaths=0, starts=1), begin=outlived) > 400


def test_by_views_nobody_goes_on_without_one_that_went_on_alone() -> None:
    two_return = Bounds(proposals=0, deaths=0, starts=2, leaps=1)
    assert visited_by_views(two_return, begin=gone_on_alone) > 500


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begin", "bounds"),
    [
        (established, Bounds(proposals=1, deaths=1)),
        (established, Bounds(proposals=1, deaths=0, breaks=1)),
        (established, Bounds(proposals=2, deaths=1)),
        (outlived, Bounds(proposals=0, deaths=1, starts=1)),
        (outlived, Bounds(proposals=1, deaths=0, starts=1)),
    ],
)
def test_all_that_can_happen(begin: Callable[[Model], State], bounds: Bounds) -> None:
    assert 5000 < visited(bounds, begin=begin) < ALL


@pytest.mark.slow
@pytest.mark.parametrize("prompt_disks", [False, True])
@pytest.mark.parametrize(
    ("begin", "bounds"),
    [
        (established, Bounds(proposals=1, deaths=1, starts=1)),
        (established, Bounds(proposals=1, deaths=2, starts=2)),
        (established, Bounds(proposals=1, deaths=1, starts=1, breaks=1)),
        (established, Bounds(proposals=0, deaths=3, starts=3)),
        (outlived, Bounds(proposals=1, deaths=1, starts=1)),
        (outlived, Bounds(proposals=0, deaths=2, starts=3)),
    ],
)
def test_much_of_what_can_happen(begin: Callable[[Model], State], bounds: Bounds, prompt_disks: bool) -> None:
    assert visited(bounds, begin=begin, states_max=STATES, prompt_disks=prompt_disks) > 20_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begin", "bounds"),
    [
        (established, Bounds(proposals=1, deaths=1)),
        (established, Bounds(proposals=1, deaths=0, breaks=1)),
        (established, Bounds(proposals=1, deaths=1, starts=1)),
        (established, Bounds(proposals=1, deaths=2, starts=2, leaps=1)),
        (outlived, Bounds(proposals=1, deaths=1, starts=1, leaps=1)),
        (gone_on_alone, Bounds(proposals=0, deaths=0, starts=3, leaps=2)),
        (gone_on_alone, Bounds(proposals=1, deaths=1, starts=3, leaps=2)),
    ],
)
def test_much_of_what_can_happen_by_views(begin: Callable[[Model], State], bounds: Bounds) -> None:
    assert visited_by_views(bounds, begin=begin, states_max=STATES) > 1000


# Rules broken on purpose.

DEATH = Bounds(proposals=1, deaths=1)
RETURN = Bounds(proposals=0, deaths=0, starts=1)
DEATH_AND_RETURN = Bounds(proposals=0, deaths=1, starts=1)

carry_out = Disk.carry_out


def most(self: Electorate, marks: dict[str, int], present: dict[str, str]) -> int:
    return max(marks.values(), default=0)


def acknowledge_at_once(self: Following) -> None:
    if self._report_due:
        self._report_due = False
        self._member.say(self._leader, self._report(self._member.history.last_zxid))


def extend_without_cutting(self: Following, previous: int, entries: list[Entry]) -> None:
    new = [entry for entry in entries if entry.zxid > self._member.history.last_zxid]
    if new:
        self._member.append(new)


def compare_last_zxids(self: History, epochs: list[tuple[int, int]]) -> int:
    return min(self.last_zxid, epochs[-1][1] if epochs else 0)


def promise_nothing(self: Disk, op: LogOp) -> None:
    if not isinstance(op, Accept):
        carry_out(self, op)


@pytest.mark.parametrize(
    ("owner", "name", "broken", "begin", "bounds", "complaint"),
    [
        pytest.param(Electorate, "agreed", most, established, DEATH, "on too few disks", id="committed by one"),
        pytest.param(
            Following, "flush", acknowledge_at_once, established, DEATH, "on too few disks", id="acknowledged at once"
        ),
        pytest.param(
            Disk,
            "carry_out",
            promise_nothing,
            established,
            DEATH_AND_RETURN,
            "accepted is only",
            id="promise not written",
        ),
        pytest.param(
            Following, "_extend", extend_without_cutting, outlived, RETURN, "has applied", id="nothing cut off"
        ),
        pytest.param(
            History, "common_point", compare_last_zxids, outlived, RETURN, "has applied", id="last zxids compared"
        ),
    ],
)
def test_a_broken_rule_is_found(
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    broken: Callable[..., Any],
    begin: Callable[[Model], State],
    bounds: Bounds,
    complaint: str,
) -> None:
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises((Broken, DamagedLog), match=complaint):
        visited(bounds, begin=begin)


def test_trusting_ones_eyes_after_a_restart_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bonds, "continuing", lambda member: True)
    with pytest.raises(Broken, match="leads epoch"):
        visited_by_views(Bounds(proposals=0, deaths=0, starts=2, leaps=1), begin=gone_on_alone)
