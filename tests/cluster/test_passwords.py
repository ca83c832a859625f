"""Passwords in every format that a RabbitMQ of any age has written."""

import base64
import hashlib
from random import Random

import pytest

from broker.cluster import passwords

DIGESTS = {
    "rabbit_password_hashing_sha256": hashlib.sha256,
    "rabbit_password_hashing_sha512": hashlib.sha512,
    "rabbit_password_hashing_md5": hashlib.md5,
}


@pytest.mark.parametrize("algorithm", sorted(DIGESTS))
def test_every_algorithm_of_rabbitmq_verifies(algorithm):
    salt = b"\x01\x02\x03\x04"
    made = base64.b64encode(salt + DIGESTS[algorithm](salt + "gehe\u00efm".encode()).digest()).decode()
    assert passwords.is_hash(made, algorithm)
    assert passwords.fits("gehe\u00efm", made, algorithm)
    assert not passwords.fits("geheim", made, algorithm)
    for other in DIGESTS.keys() - {algorithm}:
        assert not passwords.fits("gehe\u00efm", made, other)
        assert not passwords.is_hash(made, other)


def test_what_rabbitmq_hashed_fits_here():
    # From rabbitmqctl hash_password of 3.10.8, and of its documentation.
    assert passwords.fits("test12", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")


def test_new_hashes_are_sha256_under_their_own_salt():
    one, other = passwords.hash_password("x", Random(1)), passwords.hash_password("x", Random(2))
    assert one != other
    assert passwords.fits("x", one)
    assert passwords.is_hash(one)


def test_nothing_fits_a_hash_that_is_none():
    for text in ("", "YWJj", "no base64", "\u00e9"):
        assert not passwords.fits("", text)
        assert not passwords.fits("x", text)
    assert not passwords.fits("x", passwords.hash_password("x", Random(1)), "rot13")
    assert not passwords.is_hash("", "rot13")
