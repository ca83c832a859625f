"""Logins and limits, as bytes and numbers; codes and texts were seen on RabbitMQ 3.10.8."""

import pytest

from broker.amqp.errors import ConnectionException
from broker.amqp.handshake import Limits, check_tune, read_capabilities, read_login
from broker.wire.fields import encode_table
from broker.wire.methods import ConnectionTuneOk


def amqplain(**fields):
    return encode_table(fields)[4:]


@pytest.mark.parametrize(
    ("mechanism", "response", "login"),
    [
        ("PLAIN", b"\0ann\0secret", ("ann", "secret")),
        ("PLAIN", b"\0ann\0", ("ann", "")),
        ("PLAIN", b"\0\0", ("", "")),
        ("AMQPLAIN", amqplain(LOGIN="ann", PASSWORD="secret"), ("ann", "secret")),
        ("AMQPLAIN", amqplain(LOGIN="ann", PASSWORD="secret", EXTRA=True), ("ann", "secret")),
        ("AMQPLAIN", amqplain(LOGIN="ann", PASSWORD=5), ("ann", "")),
        ("EXTERNAL", b"", ("", "")),
        ("EXTERNAL", b"whatever", ("", "")),
    ],
)
def test_who_it_says_it_is(mechanism, response, login):
    assert read_login(mechanism, response) == login


@pytest.mark.parametrize(
    ("mechanism", "response", "code", "why"),
    [
        ("PLAIN", b"", 502, "response invalid"),
        ("PLAIN", b"ann\0secret", 502, "response invalid"),
        ("PLAIN", b"x\0ann\0secret", 502, "response invalid"),
        ("PLAIN", b"\0ann", 502, "response invalid"),
        ("PLAIN", b"\0ann\0secret\0more", 502, "response invalid"),
        ("AMQPLAIN", b"", 502, "AMQPLAIN auth info is missing LOGIN or PASSWORD field"),
        ("AMQPLAIN", amqplain(LOGIN="ann"), 502, "AMQPLAIN auth info is missing LOGIN or PASSWORD field"),
        ("AMQPLAIN", amqplain(LOGIN=5, PASSWORD="x"), 502, "AMQPLAIN auth info is missing LOGIN or PASSWORD field"),
        ("plain", b"\0ann\0secret", 503, "unknown authentication mechanism 'plain'"),
        ("", b"", 503, "unknown authentication mechanism ''"),
    ],
)
def test_what_says_nobody(mechanism, response, code, why):
    with pytest.raises(ConnectionException) as refused:
        read_login(mechanism, response)
    assert (refused.value.code, refused.value.why) == (code, why)


@pytest.mark.parametrize("numbers", [(1, 4096, 0), (2047, 131072, 60), (5, 131071, 65535)])
def test_a_client_may_ask_for_less(numbers):
    check_tune(ConnectionTuneOk(*numbers), Limits())


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ((0, 131072, 60), "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
        ((2048, 131072, 60), "negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"),
        ((2047, 0, 60), "negotiated frame_max = 0 is higher than the maximum allowed value (131072)"),
        ((2047, 4095, 60), "negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"),
        ((2047, 131073, 60), "negotiated frame_max = 131073 is higher than the maximum allowed value (131072)"),
    ],
)
def test_limits_that_were_not_offered(numbers, why):
    with pytest.raises(ConnectionException) as refused:
        check_tune(ConnectionTuneOk(*numbers), Limits())
    assert (refused.value.code, refused.value.why) == (530, why)


def test_only_what_is_true_is_a_capability():
    assert read_capabilities({"capabilities": {"basic.nack": True, "other": False, "number": 1}}) == {"basic.nack"}
    assert read_capabilities({"capabilities": "basic.nack"}) == read_capabilities({}) == frozenset()
