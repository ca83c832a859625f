"""Delayed message exchanges: what waits, what does not, and what passes when it has waited."""

from random import Random
from typing import Any

import pytest

from broker.routing.graph import Graph


def graph_with(inner: str) -> Graph:
    graph = Graph(Random(1))
    graph.add_exchange("late", "x-delayed-message", {"x-delayed-type": inner})
    graph.add_queue("q")
    return graph


@pytest.mark.parametrize(("delay", "waits"), [(1, True), (0, False), (-1, False), ("soon", False), ("20", True)])
def test_a_message_with_a_delay_goes_nowhere_else(delay: Any, waits: bool) -> None:
    graph = graph_with("topic")
    graph.bind("late", "queue", "q", "a.#", {})
    assert graph.per_message("late")
    assert graph.route("late", "a.b", {"x-delay": delay}) == (("amq.delayed.late",) if waits else ("q",))
    assert graph.route("late", "b", {"x-delay": delay}) == (("amq.delayed.late",) if waits else ())
    graph.unbind("late", "queue", "q", "a.#", {})
    assert graph.route("late", "a.b", {}) == ()


def test_it_waits_also_where_it_comes_by_another_exchange() -> None:
    graph = graph_with("fanout")
    graph.add_exchange("first", "fanout")
    graph.bind("first", "exchange", "late", "", {})
    graph.bind("first", "queue", "q", "", {})
    assert graph.per_message("first")
    assert graph.route("first", "", {"x-delay": 5}) == ("amq.delayed.late", "q")


def test_the_alternate_gets_what_has_waited_in_vain_and_no_more() -> None:
    graph = graph_with("direct")
    graph.add_exchange("other", "fanout")
    graph.add_exchange("late", "x-delayed-message", alternate="other")
    graph.bind("other", "queue", "q", "", {})
    assert graph.route("late", "k", {"x-delay": 5}) == ("amq.delayed.late",)
    assert graph.route("late", "k", {"x-delay": -5}) == ("q",)


def test_the_inner_kind_sees_arguments_and_headers() -> None:
    graph = Graph(Random(1))
    graph.add_exchange("late", "x-delayed-message", {"x-delayed-type": "x-consistent-hash", "hash-header": "h"})
    for queue in "ab":
        graph.add_queue(queue)
        graph.bind("late", "queue", queue, "1", {})
    assert {graph.route("late", "", {"h": n}) for n in range(30)} == {("a",), ("b",)}
