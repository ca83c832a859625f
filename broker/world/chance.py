"""The source of chance: one `Random` per node, handed in wherever something is left to luck.

Decides where randomness comes from. Rooms never draw from the `random` module itself, so that one seed repeats a run.
"""

import secrets
from random import Random


def make_chance(seed: int | None = None) -> Random:
    """A source of chance; without a seed one that nobody can foretell. Not for keys and passwords."""
    return Random(secrets.randbits(128) if seed is None else seed)
