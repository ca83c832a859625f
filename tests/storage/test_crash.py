"""The journal dies at any step, by loss of power or by kill -9, and comes back with a prefix of what was appended.

Each story goes through several lives on one disk, with tiny segments, so that rolling, dropping and compaction happen
all the time. WARREN_SEEDS=2000 runs so many of the longer ones.
"""

import os

import pytest

from tests.storage.deaths import several_lives, tell

MORE_SEEDS = int(os.environ.get("WARREN_SEEDS") or 100)


@pytest.mark.parametrize("seed", range(20))
def test_death_by_chance(seed):
    tell(several_lives, seed, [None] * 4)


def test_death_at_every_step_of_a_second_life():
    steps = tell(several_lives, 7, [100, 10**9], appends=12)
    for cut in range(1, steps + 1):
        tell(several_lives, 7, [100, cut], appends=12)


@pytest.mark.parametrize("seed", [10859])
def test_death_by_seeds_that_failed_once(seed):
    tell(several_lives, seed, [None] * 6, appends=120)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1000 + MORE_SEEDS))
def test_death_by_chance_at_length(seed):
    tell(several_lives, seed, [None] * 6, appends=200)
