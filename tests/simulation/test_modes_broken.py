"""Rules of nodes that part, broken on purpose: a scenario and some seed see each. A check that cannot fail is worth
nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from broker.cluster import bonds
from broker.cluster.entries import Accept
from broker.cluster.member import Member
from broker.metadata import driver
from broker.node.healing import Healing
from broker.storage.zab_log import ZabLog
from broker.vhosts.aside import Aside
from tests.simulation import test_partition_modes as scenarios
from tests.simulation import test_two_nodes
from tests.simulation.judges import Broken
from tests.simulation.modes import AUTO, AUTOHEAL, TWO
from tests.simulation.test_mode_seeds import run_parted, run_whole
from tests.simulation.world import NAMES

Breaking = Callable[[pytest.MonkeyPatch], None]
SEEDS = range(40)


def forget_the_last_view(patch: pytest.MonkeyPatch) -> None:
    """Whoever starts believes that nobody went on without it."""
    patch.setattr(bonds, "_of_log", lambda member, now: set())
    patch.setattr(bonds, "_of_promise", lambda member, now: set())


def trust_a_sleeper(patch: pytest.MonkeyPatch) -> None:
    """Who stood still takes the others' silence for theirs."""
    continuing = bonds.continuing

    def awake(member: Member) -> bool:
        suspended, member.lease.suspended = member.lease.suspended, False
        try:
            return continuing(member)
        finally:
            member.lease.suspended = suspended

    patch.setattr(bonds, "continuing", awake)


def cut_without_setting_aside(patch: pytest.MonkeyPatch) -> None:
    """What the winner does not have goes."""
    patch.setattr(Aside, "is_due", lambda aside, mirror, offer: False)


def forget_the_promise_of_the_lost_history(patch: pytest.MonkeyPatch) -> None:
    """The winner's epoch need not be above it, nor its terms."""

    async def forget(healing: Healing) -> None:
        if healing._is_log_due:
            log = ZabLog(healing._disk)
            await log.persist([Accept(0)], sync=True)
            log.close()
            healing._is_log_due = False
            await healing._write()

    patch.setattr(Healing, "_forget_log", forget)


def ignore_the_epoch_of_the_winner(patch: pytest.MonkeyPatch) -> None:
    """Whoever gave its history up follows the first leader that it hears, also one that has lost."""
    zab = driver.Zab

    def careless(*args: Any, **how: Any) -> object:
        return zab(*args, **{**how, "only_epoch": None})

    patch.setattr(driver, "Zab", careless)


def is_broken(run: Callable[[], object]) -> bool:
    """Whether a judge sees something."""
    try:
        run()
    except Broken:
        return True
    return False


SEEN_BY = [
    (forget_the_last_view, test_two_nodes.test_of_two_nodes_the_one_that_was_left_behind_waits_for_the_other),
    (trust_a_sleeper, test_two_nodes.test_of_two_nodes_a_sleeper_does_not_go_on_by_itself),
    (cut_without_setting_aside, test_two_nodes.test_two_nodes_that_part_are_two_masters_and_become_one),
    (ignore_the_epoch_of_the_winner, scenarios.test_who_gave_its_history_up_waits_for_the_one_that_won),
    (
        forget_the_promise_of_the_lost_history,
        scenarios.test_a_queue_of_which_only_the_losing_side_has_a_copy_goes_on_with_all_that_it_has,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("breaking", "scenario"), SEEN_BY)
def test_a_scenario_sees_it(monkeypatch: pytest.MonkeyPatch, breaking: Breaking, scenario: Callable[[], None]) -> None:
    breaking(monkeypatch)
    with pytest.raises((ExceptionGroup, AssertionError)):
        scenario()


@pytest.mark.slow
@pytest.mark.parametrize("breaking", [forget_the_last_view, trust_a_sleeper])
def test_a_seed_without_partitions_sees_it(monkeypatch: pytest.MonkeyPatch, breaking: Breaking) -> None:
    breaking(monkeypatch)
    assert any(is_broken(partial(run_whole, seed, AUTO, TWO)) for seed in SEEDS)


@pytest.mark.slow
def test_a_seed_with_partitions_sees_what_is_not_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_without_setting_aside(monkeypatch)
    assert any(is_broken(partial(run_parted, seed, AUTOHEAL, NAMES)) for seed in SEEDS)
