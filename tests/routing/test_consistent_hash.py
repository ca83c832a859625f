"""Consistent hash exchanges: one destination each, the same one again, by weight, and few that move."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from broker.routing.consistent_hash import ConsistentHash, check
from broker.routing.exchange import BindingInvalid, Destination, ExchangeInvalid, Message
from broker.wire.content import make_content
from broker.wire.properties import Properties

KEYS = [f"key {number}" for number in range(4000)]


def exchange_with(weights: dict[str, int], **arguments: Any) -> ConsistentHash:
    exchange = ConsistentHash({name.replace("_", "-"): value for name, value in arguments.items()})
    for queue, weight in weights.items():
        exchange.bind(Destination("queue", queue), str(weight), {})
    return exchange


def winner(exchange: ConsistentHash, key: str = "", message: Message | None = None) -> str:
    (destination,) = exchange.match([key, "a key of CC"], message or Message({}))
    return destination.name


def test_nothing_bound_leads_nowhere() -> None:
    exchange = exchange_with({"a": 1})
    exchange.unbind(Destination("queue", "a"), "1", {})
    assert list(exchange.match(["k"], Message({}))) == []


def test_shares_are_as_the_weights() -> None:
    exchange = exchange_with({"a": 1, "b": 3, "c": 4})
    shares = Counter(winner(exchange, key) for key in KEYS)
    assert shares["a"] == pytest.approx(500, rel=0.15)
    assert shares["b"] == pytest.approx(1500, rel=0.1)
    assert shares["c"] == pytest.approx(2000, rel=0.1)


def test_every_node_decides_alike_in_whatever_order_it_heard_of_the_bindings() -> None:
    one, other = exchange_with({"a": 1, "b": 2, "c": 3}), exchange_with({"c": 3, "a": 1, "b": 2})
    assert [winner(one, key) for key in KEYS] == [winner(other, key) for key in KEYS]


def test_who_comes_or_goes_moves_only_its_own_share() -> None:
    exchange = exchange_with({"a": 1, "b": 1, "c": 1})
    before = {key: winner(exchange, key) for key in KEYS}
    new = Destination("queue", "d")
    exchange.bind(new, "1", {})
    after = {key: winner(exchange, key) for key in KEYS}
    moved = [key for key in KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {"d"}
    assert len(moved) == pytest.approx(1000, rel=0.15)
    exchange.unbind(new, "1", {})
    assert {key: winner(exchange, key) for key in KEYS} == before


def test_several_bindings_of_one_destination_add_up() -> None:
    twice = exchange_with({"a": 1, "b": 1})
    twice.bind(Destination("queue", "a"), "2", {})
    once = exchange_with({"a": 3, "b": 1})
    assert [winner(twice, key) for key in KEYS[:200]] == [winner(once, key) for key in KEYS[:200]]
    twice.unbind(Destination("queue", "a"), "1", {})
    once = exchange_with({"a": 2, "b": 1})
    assert [winner(twice, key) for key in KEYS[:200]] == [winner(once, key) for key in KEYS[:200]]


def test_a_queue_and_an_exchange_of_one_name_are_two() -> None:
    exchange = exchange_with({"a": 1})
    exchange.bind(Destination("exchange", "a"), "1", {})
    assert {next(iter(exchange.match([key], Message({})))).kind for key in KEYS[:100]} == {"queue", "exchange"}


@pytest.mark.parametrize("kind", [int, str, lambda number: [number], lambda number: {"n": number}, float])
def test_a_header_of_any_type_decides(kind: Any) -> None:
    exchange = exchange_with({"a": 1, "b": 1}, hash_header="h")
    assert exchange.per_message
    values = [kind(number) for number in range(100)]
    assert {winner(exchange, "k", Message({"h": value})) for value in values} == {"a", "b"}
    assert len({winner(exchange, key, Message({"h": values[0]})) for key in KEYS[:100]}) == 1


@pytest.mark.parametrize("headers", [{}, {"other": "x"}, {"h": None}])
def test_messages_without_the_header_are_all_alike(headers: dict[str, Any]) -> None:
    exchange = exchange_with({"a": 1, "b": 1}, hash_header="h")
    assert {winner(exchange, key, Message(headers)) for key in KEYS[:50]} == {winner(exchange, "", Message({}))}


@pytest.mark.parametrize("name", ["message_id", "correlation_id", "timestamp"])
def test_a_property_decides(name: str) -> None:
    exchange = exchange_with({"a": 1, "b": 1}, hash_property=name)
    assert exchange.per_message

    def message(value: Any) -> Message:
        return Message({}, make_content(1, Properties(**{name: value}), b"", 4096))

    values = [number if name == "timestamp" else str(number) for number in range(100)]
    assert {winner(exchange, "k", message(value)) for value in values} == {"a", "b"}
    assert len({winner(exchange, key, message(values[0])) for key in KEYS[:100]}) == 1
    assert len({winner(exchange, key, message(None)) for key in KEYS[:100]}) == 1


def test_only_the_routing_key_can_be_remembered() -> None:
    assert not ConsistentHash({}).per_message


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
        ("-0", "The binding key must be greater than 0"),
        ("", "The binding key must be an integer: <<>>"),
        ("x", 'The binding key must be an integer: <<"x">>'),
        ("1.5", 'The binding key must be an integer: <<"1.5">>'),
        (" 1", 'The binding key must be an integer: <<" 1">>'),
        ("1_0", 'The binding key must be an integer: <<"1_0">>'),
        ("٣", 'The binding key must be an integer: <<"٣">>'),
        ("+", 'The binding key must be an integer: <<"+">>'),
    ],
)
def test_a_key_that_is_no_weight_is_refused(key: str, text: str) -> None:
    with pytest.raises(BindingInvalid) as refusal:
        exchange_with({}).bind(Destination("queue", "a"), key, {})
    assert str(refusal.value) == text


@pytest.mark.parametrize("key", ["+1", "01", "007", "9" * 255])
def test_weights_as_erlang_reads_them(key: str) -> None:
    exchange = exchange_with({"b": 1})
    exchange.bind(Destination("queue", "a"), key, {})
    assert winner(exchange, Random(1).choice(KEYS)) in ("a", "b")
    exchange.unbind(Destination("queue", "a"), key, {})
    assert winner(exchange, "k") == "b"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"hash-property": "app_id"}, "Unsupported property: app_id"),
        ({"hash-property": ""}, "Unsupported property: "),
        ({"hash-header": "h", "hash-property": "app_id"}, "hash-header and hash-property are mutually exclusive"),
        ({"hash-header": 5}, "invalid type 'signedint' for arg 'hash-header'"),
        ({"hash-property": None}, "invalid type 'void' for arg 'hash-property'"),
    ],
)
def test_arguments_that_do_not_say_what_to_hash_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ExchangeInvalid) as refusal:
        check(arguments)
    assert str(refusal.value) == text
