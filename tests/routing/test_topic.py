"""Topic patterns: the table of meanings, and the trie against the plain definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.routing.exchange import Destination, Message
from broker.routing.topic import Topic, words_of

Q = Destination("queue", "q")
NO_HEADERS = Message({})


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "b.a", "", "a.", "A.b"]),
        ("*", ["a", "*", "#"], ["", "a.b", "."]),
        ("#", ["", "a", "a.b", ".", "..", "a..b"], []),
        ("a.*", ["a.b", "a."], ["a", "a.b.c", "b.b"]),
        ("*.b", ["a.b", ".b"], ["b", "a.a.b"]),
        ("a.#", ["a", "a.b", "a.b.c", "a."], ["", "b", "ab"]),
        ("#.b", ["b", "a.b", "a.a.b", ".b"], ["", "a.b.c", "ab"]),
        ("a.#.b", ["a.b", "a.x.b", "a.x.y.b", "a.b.b"], ["a", "b", "a.x", "x.a.b"]),
        ("*.#", ["a", "a.b", "."], [""]),
        ("#.*", ["a", "a.b", "."], [""]),
        ("#.#", ["", "a", "a.b"], []),
        ("*.*.#", ["a.b", "a.b.c"], ["", "a"]),
        ("#.a.#.a.#", ["a.a", "x.a.y.a.z", "a.a.a"], ["a", "x.a.y"]),
        ("", [""], ["a", "."]),
        ("a#", ["a#"], ["a", "ab", "a.b"]),
        ("a*", ["a*"], ["ab", "a"]),
        ("a..b", ["a..b"], ["a.b", "a.x.b"]),
    ],
)
def test_meaning_of_a_pattern(pattern: str, matching: list[str], other: list[str]) -> None:
    topic = Topic()
    topic.bind(Q, pattern, {})
    assert [key for key in matching if not topic.match([key], NO_HEADERS)] == []
    assert [key for key in other if topic.match([key], NO_HEADERS)] == []


def test_each_destination_once_and_several_keys() -> None:
    topic = Topic()
    for pattern in ("a.#", "#.b", "a.b", "x"):
        topic.bind(Q, pattern, {})
    assert list(topic.match(["a.b"], NO_HEADERS)) == [Q]
    assert list(topic.match(["nothing", "x"], NO_HEADERS)) == [Q]


def test_many_hashes_do_not_explode() -> None:
    topic = Topic()
    topic.bind(Q, ".".join(["#", "a"] * 12), {})
    assert topic.match([".".join(["a"] * 60)], NO_HEADERS)
    assert not topic.match([".".join(["b"] * 60)], NO_HEADERS)


def plainly_matches(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(plainly_matches(pattern[1:], words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and plainly_matches(pattern[1:], words[1:])


patterns = st.lists(st.sampled_from(["a", "b", "*", "#"]), max_size=5).map(".".join)
keys = st.lists(st.sampled_from(["a", "b", "", "#"]), max_size=5).map(".".join)


@given(st.lists(st.tuples(patterns, st.booleans()), max_size=12), st.lists(keys, min_size=1, max_size=4))
def test_trie_agrees_with_the_definition(bindings: list[tuple[str, bool]], some_keys: list[str]) -> None:
    topic = Topic()
    for number, (pattern, _) in enumerate(bindings):
        topic.bind(Destination("queue", str(number)), pattern, {})
    for number, (pattern, stays) in enumerate(bindings):
        if not stays:
            topic.unbind(Destination("queue", str(number)), pattern, {})
    for key in some_keys:
        expected = {
            str(number)
            for number, (pattern, stays) in enumerate(bindings)
            if stays and plainly_matches(words_of(pattern), words_of(key))
        }
        assert {destination.name for destination in topic.match([key], NO_HEADERS)} == expected


def test_unbinding_leaves_nothing_behind() -> None:
    topic = Topic()
    for pattern in ("a.*.#", "a.*", "a.*", "#"):
        topic.bind(Q, pattern, {})
    for pattern in ("a.*", "a.*.#", "#", "a.*"):
        topic.unbind(Q, pattern, {})
    root = topic._root
    assert (root.children, root.one, root.many) == ({}, None, None)
