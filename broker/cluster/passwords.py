"""Passwords as RabbitMQ stores them: base64 of a salt of 4 bytes and the digest of salt and password.

Decides the hash and its check, for each of RabbitMQ's algorithms; new hashes are made with the first. It must not know
users, nor where a salt comes from. Source: RabbitMQ 3.10, `rabbit_password` and `rabbit_password_hashing_*`.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable
from random import Random
from typing import Any

SALT_BYTES = 4
SHA256 = "rabbit_password_hashing_sha256"
ALGORITHMS: dict[str, Callable[[bytes], Any]] = {
    SHA256: hashlib.sha256,
    "rabbit_password_hashing_sha512": hashlib.sha512,
    # What RabbitMQ 3.5 and older wrote; its hashes are still found in exported definitions.
    "rabbit_password_hashing_md5": lambda data: hashlib.md5(data, usedforsecurity=False),
}


def hash_password(password: str, chance: Random) -> str:
    """The hash of a password under a new salt."""
    return _encode(password, chance.randbytes(SALT_BYTES), SHA256)


def fits(password: str, password_hash: str, algorithm: str = SHA256) -> bool:
    """Whether this is the password; none fits an empty or malformed hash, nor one of an unknown algorithm."""
    try:
        salt = b64decode(password_hash, validate=True)[:SALT_BYTES]
    except (Error, ValueError):
        return False
    if len(salt) != SALT_BYTES or algorithm not in ALGORITHMS:
        return False
    return hmac.compare_digest(_encode(password, salt, algorithm).encode(), password_hash.encode())


def is_hash(text: str, algorithm: str = SHA256) -> bool:
    """Whether this can be a hash of that algorithm: base64 of a salt and a digest, or empty."""
    if algorithm not in ALGORITHMS:
        return False
    try:
        return len(b64decode(text, validate=True)) in (0, SALT_BYTES + ALGORITHMS[algorithm](b"").digest_size)
    except (Error, ValueError):
        return False


def _encode(password: str, salt: bytes, algorithm: str) -> str:
    digest: bytes = ALGORITHMS[algorithm](salt + password.encode("utf-8", "surrogateescape")).digest()
    return b64encode(salt + digest).decode()
