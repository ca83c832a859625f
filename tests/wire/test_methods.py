from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.wire.basic_methods import BasicDeliver, BasicNack, BasicQos
from broker.wire.malformed import Malformed
from broker.wire.method_fields import METHODS
from broker.wire.methods import ConnectionTune, ExchangeUnbindOk, QueueBind, QueueDeclare, decode

KINDS = {
    "octet": st.integers(0, 2**8 - 1),
    "short": st.integers(0, 2**16 - 1),
    "word": st.integers(0, 2**32 - 1),
    "longlong": st.integers(0, 2**64 - 1),
    "bit": st.booleans(),
    "shortstring": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    "longstring": st.binary(max_size=20),
    "table": st.dictionaries(st.text("abc", max_size=3), st.integers(0, 100), max_size=3),
}


@given(st.data(), st.sampled_from(sorted(METHODS)))
def test_every_method_survives_the_wire(data, number):
    kind = METHODS[number]
    method = kind(*[data.draw(KINDS[form]) for _, form in kind.arguments_in_order])
    assert decode(*number, method.encode()) == method
    assert method.frame(3)[:3] == b"\x01\0\x03"


@given(st.sampled_from(sorted(METHODS)), st.binary(max_size=40))
def test_any_bytes_are_a_method_or_malformed(number, payload):
    with suppress(Malformed):
        method = decode(*number, payload)
        assert (method.class_id, method.method_id) == number


def test_names_are_as_in_the_texts_of_rabbitmq():
    assert ExchangeUnbindOk.name == "exchange.unbind_ok"
    assert (ExchangeUnbindOk.class_id, ExchangeUnbindOk.method_id) == (40, 51)


@pytest.mark.parametrize(
    ("method", "payload"),
    [
        (ConnectionTune(2047, 131072, 60), b"\x07\xff\0\2\0\0\0\x3c"),
        (BasicQos(prefetch_count=5, is_global=True), b"\0\0\0\0\0\5\1"),
        (BasicNack(7, multiple=True, requeue=False), bytes(7) + b"\7\1"),
        (QueueDeclare(queue="q", durable=True, nowait=True), b"\0\0\1q\x12\0\0\0\0"),
        (QueueBind(queue="q", exchange="e", routing_key="k"), b"\0\0\1q\1e\1k\0\0\0\0\0"),
        (BasicDeliver("c", 1, True, "e", "k"), b"\1c" + bytes(7) + b"\1\1\1e\1k"),
    ],
)
def test_bytes_of_the_specification(method, payload):
    assert method.encode() == payload


def test_unknown_and_ill_formed_methods():
    with pytest.raises(Malformed) as unknown:
        decode(10, 99, b"")
    assert unknown.value.code == 503
    with pytest.raises(Malformed, match="cannot decode"):
        decode(20, 41, b"x")
    with pytest.raises(Malformed) as text:
        decode(10, 40, b"\1\xff\0\0")
    assert (text.value.code, text.value.why) == (501, "Malformed UTF-8 in shortstr")
