"""One seed, one run; no seed, no telling."""

from broker.world.chance import make_chance


def test_a_seed_repeats_itself():
    assert make_chance(7).random() == make_chance(7).random()


def test_without_a_seed_nobody_can_tell():
    assert make_chance().random() != make_chance().random()
