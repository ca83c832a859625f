"""Headers exchanges: RabbitMQ's table of x-match, names with x-, void and numbers."""

from decimal import Decimal
from typing import Any

import pytest

from broker.routing.exchange import BindingInvalid, Destination, Message
from broker.routing.headers import Headers

Q = Destination("queue", "q")


def matches(arguments: dict[str, Any], headers: dict[str, Any]) -> bool:
    exchange = Headers()
    exchange.bind(Q, "", arguments)
    return bool(exchange.match([""], Message(headers)))


@pytest.mark.parametrize(
    ("arguments", "headers", "expected"),
    [
        ({"x-match": "all", "a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, True),
        ({"x-match": "all", "a": 1, "b": 2}, {"a": 1}, False),
        ({"x-match": "all", "a": 1}, {"a": 2}, False),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}, True),  # all is the default
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"x-match": "any", "a": 1, "b": 2}, {"b": 2}, True),
        ({"x-match": "any", "a": 1, "b": 2}, {"a": 2, "b": 1}, False),
        ({"x-match": "any", "a": 1}, {}, False),
        ({"x-match": "all"}, {}, True),  # nothing wanted, nothing missing
        ({}, {"a": 1}, True),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"x-match": "all", "x-a": 1}, {}, True),  # x- does not count ...
        ({"x-match": "any", "x-a": 1}, {"x-a": 1}, False),
        ({"x-match": "all", "x-a": 1, "b": 1}, {"b": 1}, True),
        ({"x-match": "all-with-x", "x-a": 1}, {}, False),  # ... unless it shall
        ({"x-match": "all-with-x", "x-a": 1}, {"x-a": 1}, True),
        ({"x-match": "any-with-x", "x-a": 1, "b": 1}, {"x-a": 1}, True),
        ({"x-match": "any-with-x"}, {"x-match": "any-with-x"}, False),  # x-match itself never counts
        ({"a": None}, {"a": "whatever"}, True),  # void asks for presence
        ({"a": None}, {"a": None}, True),
        ({"a": None}, {"b": 1}, False),
        ({"a": 1}, {"a": 1.0}, True),  # numbers by value
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": True}, True),
        ({"a": "text"}, {"a": b"text"}, True),
        ({"a": "text"}, {"a": "Text"}, False),
        ({"a": Decimal("1.5")}, {"a": Decimal("1.5")}, True),
        ({"a": 1}, {"a": Decimal("1")}, False),  # a decimal is no number
        ({"a": [1, True, {"b": None}]}, {"a": [1, True, {"b": None}]}, True),
        ({"a": [1]}, {"a": [True]}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, False),
        ({"A": 1}, {"a": 1}, False),
    ],
)
def test_match(arguments: dict[str, Any], headers: dict[str, Any], expected: bool) -> None:
    assert matches(arguments, headers) is expected


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("some", 'value <<"some">>; expected all, any, all-with-x, or any-with-x'),
        ("", "value <<>>; expected all, any, all-with-x, or any-with-x"),
        (5, "type signedint (value 5); expected longstr"),
        (True, "type bool (value true); expected longstr"),
        (None, "type void (value undefined); expected longstr"),
        ([1], "type array (value [{signedint,1}]); expected longstr"),
        (b"all", 'type binary (value <<"all">>); expected longstr'),
    ],
)
def test_x_match_must_be_one_of_four_words(wrong: object, text: str) -> None:
    with pytest.raises(BindingInvalid) as refusal:
        Headers().bind(Q, "", {"x-match": wrong})
    assert str(refusal.value) == f"Invalid x-match field {text}"


def test_bindings_differ_by_key_and_arguments() -> None:
    exchange = Headers()
    exchange.bind(Q, "", {"a": 1})
    exchange.bind(Q, "", {"a": 2})
    exchange.bind(Q, "key", {"a": 1})
    exchange.unbind(Q, "", {"a": 1})
    assert exchange.match([], Message({"a": 1}))
    exchange.unbind(Q, "key", {"a": 1})
    assert not exchange.match([], Message({"a": 1}))
    assert exchange.match([], Message({"a": 2}))
