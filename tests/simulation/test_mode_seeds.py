"""Whole clusters by seed where all in sight decide, and not a majority: two nodes and three.

Kills, freezes, stops and restarts lose nothing there either; a partition makes two masters, and of what either of them
confirmed nothing is lost: it is delivered, or set aside. WARREN_SEEDS says how many of them are run."""

import os

import pytest

from broker.node.partition_handling import PartitionHandling
from tests.simulation.course import Outcome, Plan, run_seed
from tests.simulation.faults import DEATHS_OF_LEADERS, DEATHS_OF_MASTERS, PARTITIONS, RESTARTS, SLOWNESS
from tests.simulation.modes import AUTO, AUTOHEAL, IGNORE, TWO
from tests.simulation.world import NAMES

MORE_SEEDS = int(os.environ.get("WARREN_SEEDS") or 5)
LINKS = ("half cut off, kill master", "mirrors return, cut off master")
WITHOUT_PARTITIONS = [
    fault
    for fault in (*DEATHS_OF_MASTERS, *DEATHS_OF_LEADERS, *RESTARTS, *SLOWNESS)
    if fault not in LINKS and fault != "other policy"
]
PREFERRED = PartitionHandling("pause_if_all_down", ("n1", "n2"), "autoheal")
CLUSTERS = [(AUTO, TWO), (AUTOHEAL, NAMES), (PREFERRED, NAMES)]


def run_whole(seed: int, handling: PartitionHandling, names: tuple[str, ...], steps: int = 4) -> Outcome:
    """Without partitions: every judge looks."""
    plan = Plan(WITHOUT_PARTITIONS, (), steps, 0.0, 0, names=names, handling=handling)
    return run_seed(seed, plan)


def run_parted(seed: int, handling: PartitionHandling, names: tuple[str, ...], steps: int = 4) -> Outcome:
    """With partitions, among other things."""
    faults = [*(PARTITIONS * 3), *WITHOUT_PARTITIONS]
    return run_seed(seed, Plan(faults, (), steps, 0.0, 0, names=names, handling=handling, parts=True))


FAILED_ONCE = [(36, *CLUSTERS[0]), (55, *CLUSTERS[1]), (215, *CLUSTERS[1])]
"""A journal kept what was lost (twice); a mirror followed a master of the other history."""


def test_two_nodes_that_part_lose_nothing() -> None:
    run_parted(1, AUTO, TWO, steps=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(MORE_SEEDS))
@pytest.mark.parametrize(("handling", "names"), CLUSTERS)
def test_nothing_is_lost_without_a_partition(seed: int, handling: PartitionHandling, names: tuple[str, ...]) -> None:
    run_whole(seed, handling, names)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(MORE_SEEDS))
@pytest.mark.parametrize(("handling", "names"), [*CLUSTERS, (IGNORE, NAMES)])
def test_nothing_is_lost_with_partitions(seed: int, handling: PartitionHandling, names: tuple[str, ...]) -> None:
    run_parted(seed, handling, names)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "handling", "names"), FAILED_ONCE)
def test_nor_by_seeds_that_failed_once(seed: int, handling: PartitionHandling, names: tuple[str, ...]) -> None:
    run_parted(seed, handling, names)
