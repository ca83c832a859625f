"""Passwords as RabbitMQ stores them: base64 of a salt of 4 bytes and SHA-256 of salt and password.

Decides the hash and its check. It must not know users, nor where a salt comes from. Source: RabbitMQ 3.10,
`rabbit_password_hashing_sha256`.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error
from random import Random

SALT_BYTES = 4


def hash_password(password: str, chance: Random) -> str:
    """The hash of a password under a new salt."""
    return _encode(password, chance.randbytes(SALT_BYTES))


def fits(password: str, password_hash: str) -> bool:
    """Whether this is the password; none fits an empty or malformed hash."""
    try:
        salt = b64decode(password_hash, validate=True)[:SALT_BYTES]
    except (Error, ValueError):
        return False
    return len(salt) == SALT_BYTES and hmac.compare_digest(_encode(password, salt).encode(), password_hash.encode())


def is_hash(text: str) -> bool:
    """Whether this can be a hash: base64 of a salt and a digest, or empty."""
    try:
        return len(b64decode(text, validate=True)) in (0, SALT_BYTES + hashlib.sha256().digest_size)
    except (Error, ValueError):
        return False


def _encode(password: str, salt: bytes) -> str:
    return b64encode(salt + hashlib.sha256(salt + password.encode("utf-8", "surrogateescape")).digest()).decode()
