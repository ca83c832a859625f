"""Passwords as RabbitMQ stores them: base64 of a salt of 4 bytes and the digest of salt and password.

Decides the hash and its check. It must not know users, nor where a salt comes from. Source: RabbitMQ 3.10,
`rabbit_password_hashing_sha256` and its siblings.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error
from random import Random
from typing import Final

SALT_BYTES = 4

SHA256: Final = "rabbit_password_hashing_sha256"
MD5: Final = "rabbit_password_hashing_md5"
ALGORITHMS: Final = {SHA256: "sha256", "rabbit_password_hashing_sha512": "sha512", MD5: "md5"}
"""hashlib's names by RabbitMQ's. New passwords get SHA-256; the others come in with definitions."""


def hash_password(password: str, chance: Random) -> str:
    """The hash of a password under a new salt."""
    return _encode(password, chance.randbytes(SALT_BYTES), SHA256)


def fits(password: str, password_hash: str, algorithm: str = SHA256) -> bool:
    """Whether this is the password; none fits an empty or malformed hash, nor an unknown algorithm."""
    if algorithm not in ALGORITHMS:
        return False
    try:
        salt = b64decode(password_hash, validate=True)[:SALT_BYTES]
    except (Error, ValueError):
        return False
    given = _encode(password, salt, algorithm)
    return len(salt) == SALT_BYTES and hmac.compare_digest(given.encode(), password_hash.encode())


def is_hash(text: str, algorithm: str = SHA256) -> bool:
    """Whether this can be a hash: base64 of a salt and a digest, or empty."""
    if algorithm not in ALGORITHMS:
        return False
    try:
        return len(b64decode(text, validate=True)) in (0, SALT_BYTES + hashlib.new(ALGORITHMS[algorithm]).digest_size)
    except (Error, ValueError):
        return False


def _encode(password: str, salt: bytes, algorithm: str) -> str:
    digest = hashlib.new(ALGORITHMS[algorithm], salt + password.encode("utf-8", "surrogateescape")).digest()
    return b64encode(salt + digest).decode()
