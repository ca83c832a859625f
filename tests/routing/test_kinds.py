"""The kinds: how they are made, and RabbitMQ's refusals of arguments and bindings."""

from random import Random
from typing import Any

import pytest

from broker.routing import kinds
from broker.routing.exchange import BindingInvalid, ExchangeInvalid, Message


def test_every_kind_can_be_made() -> None:
    for kind in kinds.KINDS:
        kinds.check_kind(kind)
        arguments = {"x-delayed-type": "direct"} if kind == kinds.DELAYED else {}
        kinds.check(kind, arguments)
        assert list(kinds.made("x", kind, arguments, Random(1)).match(["k"], Message({}))) == []


@pytest.mark.parametrize(
    ("kind", "text"), [("nosuch", "unknown exchange type 'nosuch'"), ("", "invalid exchange type ''")]
)
def test_unknown_kinds(kind: str, text: str) -> None:
    with pytest.raises(kinds.KindUnknown) as refusal:
        kinds.check(kind, {})
    assert str(refusal.value) == text
    with pytest.raises(KeyError):
        kinds.made("x", kind, {}, Random(1))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "Invalid argument, 'x-delayed-type' must be an existing exchange type"),
        ({"x-delayed-type": 5}, "Invalid argument, 'x-delayed-type' must be an existing exchange type"),
        (
            {"x-delayed-type": "x-delayed-message"},
            "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'",
        ),
        ({"x-delayed-type": "x-consistent-hash", "hash-property": "app_id"}, "Unsupported property: app_id"),
    ],
)
def test_delayed_exchanges_need_another_kind(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ExchangeInvalid) as refusal:
        kinds.check(kinds.DELAYED, arguments)
    assert str(refusal.value) == text


def test_a_delayed_exchange_of_an_unknown_kind() -> None:
    with pytest.raises(kinds.KindUnknown, match=r"^unknown exchange type 'nosuch'$"):
        kinds.check(kinds.DELAYED, {"x-delayed-type": "nosuch"})


def test_bindings_are_judged_by_the_inner_kind() -> None:
    inner = {"x-delayed-type": "x-consistent-hash"}
    kinds.check_binding(kinds.DELAYED, inner, "1", {})
    with pytest.raises(BindingInvalid):
        kinds.check_binding(kinds.DELAYED, inner, "x", {})
    kinds.check_binding("direct", {}, "x", {"x-match": "nonsense"})
    with pytest.raises(BindingInvalid):
        kinds.check_binding("headers", {}, "x", {"x-match": "nonsense"})
