"""The source of chance: one `Random` per node, handed in wherever something is left to luck.

Decides where randomness comes from. Rooms never draw from the `random` module itself, so that one seed repeats a run;
secrets, on which no course of events depends, come from the operating system.
"""

import secrets
from random import Random


def make_chance(seed: int | None = None) -> Random:
    """A source of chance; without a seed one that nobody can foretell. Not for keys and passwords."""
    return Random(secrets.randbits(128) if seed is None else seed)


def secret_text() -> str:
    """22 letters, digits, `-` and `_` that nobody can foretell, whatever else they have seen of this node's chance."""
    return secrets.token_urlsafe(16)


def fresh_nonce(count: int) -> bytes:
    """Bytes that nobody can foretell and no seed repeats, to challenge whoever is at the other end of a connection."""
    return secrets.token_bytes(count)
