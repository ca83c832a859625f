"""The graph: default exchange, every kind, exchange to exchange, alternates, sender-selected keys, and forgetting."""

from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broker.routing.exchange import BindingInvalid
from broker.routing.graph import Graph, MessageInvalid, routing_keys
from broker.wire.fields import Long


def graph_with(*exchanges: tuple[str, str], queues: str = "") -> Graph:
    graph = Graph(Random(1))
    for name, kind in exchanges:
        graph.add_exchange(name, kind)
    for queue in queues:
        graph.add_queue(queue)
    return graph


def test_default_exchange_leads_to_the_queue_of_that_name() -> None:
    graph = graph_with(queues="ab")
    assert graph.route("", "a") == ("a",)
    assert graph.route("", "c") == ()
    graph.remove_queue("a")
    assert graph.route("", "a") == ()


def test_direct_matches_the_whole_key() -> None:
    graph = graph_with(("d", "direct"), queues="abc")
    graph.bind("d", "queue", "b", "k", {})
    graph.bind("d", "queue", "a", "k", {})
    graph.bind("d", "queue", "c", "", {})
    assert graph.route("d", "k") == ("a", "b")
    assert graph.route("d", "") == ("c",)
    assert graph.route("d", "k2") == ()


def test_fanout_ignores_the_key() -> None:
    graph = graph_with(("f", "fanout"), queues="ab")
    graph.bind("f", "queue", "a", "x", {})
    graph.bind("f", "queue", "a", "y", {})
    graph.bind("f", "queue", "b", "", {})
    assert graph.route("f", "anything") == ("a", "b")
    graph.unbind("f", "queue", "a", "x", {})
    assert graph.route("f", "anything") == ("a", "b")
    graph.unbind("f", "queue", "a", "y", {})
    assert graph.route("f", "anything") == ("b",)


def test_binding_twice_is_binding_once() -> None:
    graph = graph_with(("d", "direct"), queues="a")
    assert graph.bind("d", "queue", "a", "k", {"n": 1})
    assert not graph.bind("d", "queue", "a", "k", {"n": 1})
    assert graph.bind("d", "queue", "a", "k", {})  # other arguments, another binding
    assert graph.unbind("d", "queue", "a", "k", {"n": 1})
    assert not graph.unbind("d", "queue", "a", "k", {"n": 1})
    assert graph.route("d", "k") == ("a",)


def test_unknown_exchange_is_the_callers_question() -> None:
    graph = graph_with(queues="a")
    with pytest.raises(KeyError):
        graph.route("nowhere", "k")
    with pytest.raises(KeyError):
        graph.bind("nowhere", "queue", "a", "k", {})
    assert "nowhere" not in graph
    assert "" in graph
    assert graph.bindings() == []


@pytest.mark.parametrize(("one", "other"), [(5, Long(5)), (1, True), (1, 1.0), ("a", b"a"), ([1], [True]), ({}, [])])
def test_bindings_whose_arguments_differ_in_type_are_two(one: object, other: object) -> None:
    graph = graph_with(("x", "direct"), queues="q")
    assert graph.bind("x", "queue", "q", "k", {"a": one})
    assert graph.bind("x", "queue", "q", "k", {"a": other})
    assert not graph.bind("x", "queue", "q", "k", {"a": one})
    assert graph.unbind("x", "queue", "q", "k", {"a": other})
    assert graph.route("x", "k") == ("q",)
    assert graph.unbind("x", "queue", "q", "k", {"a": one})
    assert graph.route("x", "k") == ()


def test_refused_binding_leaves_nothing() -> None:
    graph = graph_with(("h", "headers"), queues="a")
    with pytest.raises(BindingInvalid):
        graph.bind("h", "queue", "a", "", {"x-match": "some"})
    assert graph.bindings() == []
    assert graph.bindings_to("queue", "a") == []


def test_exchange_to_exchange_with_round_trips() -> None:
    graph = graph_with(("a", "topic"), ("b", "fanout"), ("c", "direct"), queues="xyz")
    graph.bind("a", "exchange", "b", "k.#", {})
    graph.bind("b", "exchange", "c", "", {})
    graph.bind("c", "exchange", "a", "k.1", {})
    graph.bind("c", "exchange", "c", "k.1", {})
    graph.bind("a", "queue", "x", "#", {})
    graph.bind("b", "queue", "y", "", {})
    graph.bind("c", "queue", "z", "k.1", {})
    assert graph.route("a", "k.1") == ("x", "y", "z")
    assert graph.route("a", "k.2") == ("x", "y")
    assert graph.route("c", "k.1") == ("x", "y", "z")
    assert graph.route("a", "other") == ("x",)


def test_alternate_takes_what_leads_nowhere() -> None:
    graph = graph_with(("alt", "fanout"), ("inner", "direct"), queues="axu")
    graph.add_exchange("main", "direct", alternate="alt")
    graph.bind("alt", "queue", "u", "", {})
    graph.bind("main", "queue", "a", "k", {})
    assert graph.route("main", "k") == ("a",)
    assert graph.route("main", "other") == ("u",)
    graph.bind("main", "exchange", "inner", "other", {})  # matched, though it leads nowhere from there
    assert graph.route("main", "other") == ()
    graph.add_exchange("inner", "direct", alternate="main")  # each exchange asks its own alternate
    assert graph.route("inner", "k") == ("a",)
    graph.add_exchange("main", "direct", alternate="missing")
    assert graph.route("main", "no") == ()
    graph.add_exchange("main", "direct", alternate="main")
    assert graph.route("main", "no") == ()


def test_any_key_that_matches_keeps_the_alternate_out() -> None:
    graph = graph_with(("alt", "fanout"), queues="abu")
    graph.add_exchange("main", "direct", alternate="alt")
    graph.bind("alt", "queue", "u", "", {})
    graph.bind("main", "queue", "a", "k", {})
    graph.bind("main", "queue", "b", "cc", {})
    assert graph.route("main", "k", {"CC": ["cc"], "BCC": ["none"]}) == ("a", "b")
    assert graph.route("main", "none", {"BCC": ["cc"]}) == ("b",)
    assert graph.route("", "a", {"CC": ["b", "b", "missing"]}) == ("a", "b")
    assert graph.route("main", "none", {"CC": []}) == ("u",)


def test_sender_selected_keys_are_texts_in_lists() -> None:
    assert routing_keys("k", {"CC": ["a", "k"], "BCC": ["b"]}) == ("k", "a", "b")
    assert routing_keys("k", {"CC": [1, "a", None, b"b", ["c"]]}) == ("k", "a")  # the others are passed over


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"CC": "text"}, '{unacceptable_type_in_header,"CC",longstr}'),
        ({"CC": 5}, '{unacceptable_type_in_header,"CC",signedint}'),
        ({"CC": None}, '{unacceptable_type_in_header,"CC",void}'),
        ({"BCC": {"a": 1}}, '{unacceptable_type_in_header,"BCC",table}'),
        ({"CC": [], "BCC": True}, '{unacceptable_type_in_header,"BCC",bool}'),
    ],
)
def test_sender_selected_keys_that_are_no_list_are_refused(headers: dict[str, Any], text: str) -> None:
    with pytest.raises(MessageInvalid) as refusal:
        routing_keys("k", headers)
    assert str(refusal.value) == f"invalid message: {text}"


def test_messages_are_asked_one_by_one_only_where_it_can_matter() -> None:
    graph = graph_with(("f", "fanout"), ("d", "direct"), ("h", "headers"), queues="a")
    assert graph.per_message("h")
    assert not graph.per_message("")
    assert not graph.per_message("f")
    graph.bind("f", "exchange", "d", "", {})
    graph.bind("d", "exchange", "f", "", {})
    assert not graph.per_message("f")
    graph.add_exchange("d", "direct", alternate="h")
    assert graph.per_message("f")
    graph.bind("h", "queue", "a", "", {"n": 1})
    assert graph.route("f", "k", {"n": 1}) == ("a",)
    assert graph.route("f", "", {"n": 1}) == ()  # d has matched f, so its alternate stays out
    assert graph.route("h", "k", {"n": 1}) == ("a",)
    graph.remove_exchange("h")
    assert not graph.per_message("f")


def test_removal_returns_the_bindings_that_went() -> None:
    graph = graph_with(("d", "direct"), ("f", "fanout"), queues="ab")
    graph.bind("d", "queue", "a", "k", {})
    graph.bind("f", "queue", "a", "", {})
    graph.bind("f", "exchange", "d", "", {})
    graph.bind("d", "exchange", "d", "self", {})
    assert {(b.source, b.key) for b in graph.remove_queue("a")} == {("d", "k"), ("f", "")}
    assert {(b.source, b.destination) for b in graph.remove_exchange("d")} == {("f", "d"), ("d", "d")}
    assert graph.bindings() == []
    assert graph.remove_exchange("d") == []
    assert "d" not in graph


def test_every_change_raises_the_epoch() -> None:
    graph = Graph(Random(1))
    seen = [graph.epoch]

    def changed() -> bool:
        seen.append(graph.epoch)
        return seen[-1] > seen[-2]

    graph.add_exchange("e", "direct", internal=True)
    assert changed()
    assert graph.is_internal("e")
    assert not graph.is_internal("")
    graph.add_queue("q")
    assert changed()
    graph.bind("e", "queue", "q", "k", {})
    assert changed()
    graph.bind("e", "queue", "q", "k", {})
    assert not changed()
    graph.unbind("e", "queue", "q", "k", {})
    assert changed()
    graph.remove_queue("q")
    assert changed()
    graph.remove_exchange("e")
    assert changed()


NAMES = st.sampled_from("abc")
KEYS = st.sampled_from(["", "k", "l"])


class GraphAgainstAList(RuleBasedStateMachine):
    """Direct and fanout exchanges, any bindings between them: the graph against a walk over the plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = Graph(Random(1))
        self.kinds: dict[str, str] = {}
        self.queues: set[str] = set()
        self.bindings: set[tuple[str, str, str, str]] = set()

    @rule(name=NAMES, kind=st.sampled_from(["direct", "fanout"]))
    def declare_exchange(self, name: str, kind: str) -> None:
        self.graph.add_exchange(name, self.kinds.setdefault(name, kind))

    @rule(name=NAMES)
    def delete_exchange(self, name: str) -> None:
        self.kinds.pop(name, None)
        gone = {b for b in self.bindings if b[0] == name or b[1:3] == ("exchange", name)}
        assert {(b.source, *b.target, b.key) for b in self.graph.remove_exchange(name)} == gone
        self.bindings -= gone

    @rule(name=NAMES)
    def declare_queue(self, name: str) -> None:
        self.graph.add_queue(name)
        self.queues.add(name)

    @rule(name=NAMES)
    def delete_queue(self, name: str) -> None:
        self.graph.remove_queue(name)
        self.queues.discard(name)
        self.bindings = {b for b in self.bindings if b[1:3] != ("queue", name)}

    @rule(source=NAMES, kind=st.sampled_from(["queue", "exchange"]), name=NAMES, key=KEYS)
    def bind(self, source: str, kind: str, name: str, key: str) -> None:
        if source in self.kinds and name in (self.queues if kind == "queue" else self.kinds):
            new = self.graph.bind(source, "queue" if kind == "queue" else "exchange", name, key, {})
            assert new == ((source, kind, name, key) not in self.bindings)
            self.bindings.add((source, kind, name, key))

    @rule(source=NAMES, kind=st.sampled_from(["queue", "exchange"]), name=NAMES, key=KEYS)
    def unbind(self, source: str, kind: str, name: str, key: str) -> None:
        was = self.graph.unbind(source, "queue" if kind == "queue" else "exchange", name, key, {})
        assert was == ((source, kind, name, key) in self.bindings)
        self.bindings.discard((source, kind, name, key))

    def walked(self, exchange: str, key: str) -> set[str]:
        reached, queues = {exchange}, set()
        while True:
            hits = [b for b in self.bindings if b[0] in reached and (self.kinds[b[0]] == "fanout" or b[3] == key)]
            queues = {b[2] for b in hits if b[1] == "queue"}
            more = reached | {b[2] for b in hits if b[1] == "exchange"}
            if more == reached:
                return queues
            reached = more

    @invariant()
    def agree(self) -> None:
        for exchange in self.kinds:
            for key in ("", "k", "l"):
                assert self.graph.route(exchange, key) == tuple(sorted(self.walked(exchange, key)))
        for name in "abc":
            assert (name in self.queues) == (self.graph.route("", name) == (name,))


TestGraphAgainstAList = GraphAgainstAList.TestCase
TestGraphAgainstAList.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
