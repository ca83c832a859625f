"""The leader's view of committed and outstanding state: conditions, roll-back, absolute effects."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.cluster.operations import Create, Delete, Event, Set
from broker.cluster.overlay import Overlay
from broker.cluster.refusal import Refused
from broker.cluster.tree import Tree, ephemerals_of


def by_data(path, data):
    return (data.decode(),) if data else ()


@pytest.fixture
def tree():
    tree = Tree(by_data)
    tree.apply(1, [Create("/a", b"x", 1), Create("/a/b", b"y", 1)])
    return tree


@pytest.fixture
def overlay(tree):
    return Overlay(tree)


def refusal_of(overlay, verb, *arguments, **options):
    with pytest.raises(Refused) as caught, overlay.transaction(99):
        getattr(overlay, verb)(*arguments, **options)
    return caught.value.code


def test_later_changes_see_earlier_ones_and_effects_are_absolute(tree, overlay):
    with overlay.transaction(2) as operations:
        assert overlay.create("/a/c", b"", sequential=True) == "/a/c0000000001"
        assert overlay.set("/a", b"z", 0) == 1
        assert overlay.set("/a", b"w", 1) == 2
        overlay.delete("/a/b")
        overlay.event(Event.of("policy"))
    assert operations == [
        Create("/a/c0000000001", b"", 2),
        Set("/a", b"z", 1),
        Set("/a", b"w", 2),
        Delete("/a/b"),
        Event.of("policy"),
    ]
    assert overlay.children("/a") == ["c0000000001"]
    assert tree.data("/a") == b"x", "nothing is committed yet"
    assert overlay.zxid == 2


@pytest.mark.parametrize(
    ("code", "verb", "arguments"),
    [
        ("no_node", "create", ("/x/y", b"")),
        ("node_exists", "create", ("/a", b"")),
        ("bad_path", "create", ("a", b"")),
        ("bad_path", "create", ("/a/", b"")),
        ("bad_path", "create", ("/a/..", b"")),
        ("bad_path", "create", ("/a/b\0", b"")),
        ("bad_version", "set", ("/a", b"", 3)),
        ("no_node", "set", ("/x", b"")),
        ("not_empty", "delete", ("/a",)),
        ("bad_version", "delete", ("/a/b", 1)),
        ("bad_path", "delete", ("/",)),
        ("bad_version", "check", ("/a", 7)),
        ("no_node", "check", ("/x",)),
    ],
)
def test_conditions(overlay, code, verb, arguments):
    assert refusal_of(overlay, verb, *arguments) == code


def test_an_ephemeral_has_no_children_and_is_found_by_its_session(overlay):
    with overlay.transaction(2):
        overlay.create("/a/e", b"", owner=5)
    assert overlay.find(ephemerals_of(5)) == ["/a/e"]
    assert refusal_of(overlay, "create", "/a/e/f", b"") == "ephemeral_parent"


def test_a_refused_transaction_leaves_no_trace_not_even_in_the_count_of_children(overlay):
    def doomed():
        with overlay.transaction(2):
            overlay.create("/a/n", b"k", sequential=True)
            overlay.set("/a", b"changed")
            overlay.delete("/a/b")
            overlay.create("/a/n/deep", b"")

    with pytest.raises(Refused):
        doomed()
    assert overlay.children("/a") == ["b"]
    assert overlay.data("/a") == b"x"
    assert overlay.find("k") == []
    assert overlay.find("x") == ["/a"]
    assert overlay.zxid == 1
    with overlay.transaction(3):
        assert overlay.create("/a/n", b"", sequential=True) == "/a/n0000000001"


def test_put_creates_sets_or_does_nothing(overlay):
    with overlay.transaction(2) as operations:
        assert overlay.put("/n", b"1")
        assert overlay.put("/n", b"2")
        assert not overlay.put("/n", b"2")
    assert len(operations) == 2


def test_a_deleted_name_can_be_created_again_before_the_commit(tree, overlay):
    with overlay.transaction(2) as first:
        overlay.delete("/a/b")
        overlay.delete("/a")
    with overlay.transaction(3) as second:
        overlay.create("/a", b"again")
    assert overlay.children("/a") == []
    tree.apply(2, first)
    tree.apply(3, second)
    assert tree.data("/a") == b"again"
    assert overlay.children("/") == ["a"]


PATHS = ["/a", "/b", "/a/c", "/a/d", "/b/c"]
STEP = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(PATHS), st.sampled_from([b"", b"k", b"l"])),
    st.tuples(st.just("set"), st.sampled_from(PATHS), st.sampled_from([b"", b"k", b"l"])),
    st.tuples(st.just("delete"), st.sampled_from(PATHS)),
)


def seen(state):
    """Everything that a reader can ask."""
    return (
        {path: state.data(path) for path in PATHS},
        {path: state.children(path) for path in ["/", *PATHS]},
        [state.find(key) for key in ("k", "l")],
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.lists(STEP, min_size=1, max_size=4), st.integers(0, 3)), max_size=12))
def test_the_overlay_is_the_tree_that_will_be(transactions):
    """Transactions of random steps, some refused, committed late: the view equals a tree to which all were applied."""
    tree, ahead = Tree(by_data), Tree(by_data)
    overlay = Overlay(tree)
    outstanding = []
    for zxid, (steps, commits) in enumerate(transactions, 1):
        try:
            with overlay.transaction(zxid) as operations:
                for verb, *arguments in steps:
                    getattr(overlay, verb)(*arguments)
        except Refused:
            pass
        else:
            outstanding.append((zxid, operations))
            ahead.apply(zxid, operations)
        assert seen(overlay) == seen(ahead)
        for _ in range(min(commits, len(outstanding))):
            tree.apply(*outstanding.pop(0))
            assert seen(overlay) == seen(ahead)
    for transaction in outstanding:
        tree.apply(*transaction)
    assert tree.digest == ahead.digest
    with overlay.transaction(1000):
        pass
    assert not overlay._shadows, "nothing outstanding, nothing kept"
    assert not overlay._found
    assert not overlay._names
