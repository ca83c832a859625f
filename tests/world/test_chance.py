"""One seed, one run; no seed, no telling."""

import re

from broker.world.chance import make_chance, secret_text


def test_a_seed_repeats_itself():
    assert make_chance(7).random() == make_chance(7).random()


def test_without_a_seed_nobody_can_tell():
    assert make_chance().random() != make_chance().random()


def test_secrets_are_never_the_same_and_fit_into_names():
    found = {secret_text() for _ in range(100)}
    assert len(found) == 100
    assert all(re.fullmatch(r"[\w-]{22}", secret) for secret in found)
