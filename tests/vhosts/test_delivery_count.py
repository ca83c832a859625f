"""The header that says how often a message came back; everything else stays as its publisher sent it."""

import pytest

from broker.vhosts.delivery_count import counted
from broker.wire.content import body_of, make_content
from broker.wire.fields import Long
from broker.wire.message import Run, Traits, make_address
from broker.wire.properties import PROPERTIES_AT, Properties, headers_of

ADDRESS = make_address("", "q")


@pytest.mark.parametrize("headers", [None, {}, {"a": Long(1)}, {"x-delivery-count": 99}])
def test_readers_are_told_and_the_queue_keeps_what_it_has(headers):
    content = make_content(3, Properties(headers=headers, delivery_mode=1), b"body", 131072)
    run = Run([content, content], ADDRESS, Traits(), first=7, redelivered=True, returned=2)
    shown = counted(run)
    assert (shown.first, shown.last, shown.redelivered) == (7, 8, True)
    for one in shown.contents:
        assert headers_of(one) == {**(headers or {}), "x-delivery-count": 2}
        assert b"\x10x-delivery-countl" in one, "64 bits, as RabbitMQ writes it"
        assert (body_of(one), Properties.of(one).delivery_mode, one[1:3]) == (b"body", 1, b"\0\3")
    assert run.contents == [content, content]


def test_headers_that_are_none_stay_as_they_are():
    content = bytearray(make_content(1, Properties(headers={"a": "b"}), b"body", 131072))
    content[PROPERTIES_AT + 5] = 200  # the name of a field runs over the end
    run = Run([bytes(content)], ADDRESS, Traits(), first=1, returned=1)
    assert counted(run).contents == run.contents
