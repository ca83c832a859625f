"""x-delay: what counts as one, and how a message says that it has waited."""

from decimal import Decimal
from typing import Any

import pytest

from broker.wire.content import body_of, make_content
from broker.wire.delay import delay_ms, delay_of, passed
from broker.wire.fields import Long, Timestamp
from broker.wire.properties import Properties, headers_of


@pytest.mark.parametrize(
    ("value", "delay"),
    [
        (500, 500),
        (Long(500), 500),
        ("500", 500),
        ("+500", 500),
        (500.9, 500),
        (Decimal("500.9"), 500),
        (2**32 - 1, 2**32 - 1),
        (2**32, 0),  # longer than a timer of Erlang: routed at once
        (0, 0),
        (-500, 0),
        ("-500", 0),
        (True, 0),
        (Timestamp(500), 0),
        (b"500", 0),
        ("soon", 0),
        ("", 0),
        ("5_0", 0),
        ("9" * 5000, 0),
        (float("inf"), 0),
        (float("nan"), 0),
        (None, 0),
        ([500], 0),
    ],
)
def test_what_counts_as_a_delay(value: Any, delay: int) -> None:
    assert delay_ms({"x-delay": value}) == delay
    assert delay_ms({"X-Delay": value}) == 0


@pytest.mark.parametrize(("value", "negated"), [(500, -500), ("500", -500), (2**32 - 1, 1 - 2**32)])
def test_what_has_waited_says_so(value: Any, negated: int) -> None:
    properties = Properties(headers={"a": 1, "x-delay": value, "BCC": ["k"]}, delivery_mode=2, message_id="m")
    content = make_content(3, properties, b"body", 4096)
    assert delay_of(content) == -negated
    new, headers = passed(content)
    assert headers == {"a": 1, "x-delay": negated, "BCC": ["k"]}
    assert headers_of(new) == {"a": 1, "x-delay": negated}
    assert body_of(new) == b"body"
    properties.headers = headers_of(new)
    assert Properties.of(new) == properties
    assert delay_of(new) == 0
