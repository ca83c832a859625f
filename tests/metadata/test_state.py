"""What a committed entry does, and what a snapshot of that holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.cluster.operations import Create, Delete, Event, Set
from broker.cluster.tree import Tree
from broker.metadata import state as state_module
from broker.metadata.state import State, Transaction

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
operations = st.one_of(
    st.builds(Create, names, st.binary(max_size=6), st.integers(0, 9)),
    st.builds(Set, names, st.binary(max_size=6), st.integers(0, 9)),
    st.builds(Delete, names),
    st.builds(Event, st.binary(max_size=6)),
)


def grown():
    state = State(Tree())
    state.apply(1, Transaction("a-1", {"n": 1}, [Create("/x", b"1", 1), Create("/x/y", b"2", 1)]).encode())
    state.apply(2, Transaction("", {}, [Create("/z", b"3", 2)]).encode())
    return state


@given(names, st.dictionaries(names, st.integers()), st.lists(operations, max_size=4))
def test_a_transaction_comes_back_as_it_was(request_id, answer, changes):
    transaction = Transaction(request_id, answer, changes)
    assert Transaction.decode(transaction.encode()) == transaction


@pytest.mark.parametrize("payload", [b"", b"\x00\x03", b"\x00\x00\x00\x00\x00\x02{}nonsense"])
def test_other_bytes_are_refused(payload):
    with pytest.raises(ValueError, match=r"transaction|Expecting"):
        Transaction.decode(payload)


def test_the_answers_of_the_last_transactions_are_remembered(monkeypatch):
    monkeypatch.setattr(state_module, "RECENT_MAX", 2)
    state = grown()
    assert state.recent == {"a-1": (1, {"n": 1})}
    for number in (3, 4):
        state.apply(number, Transaction(f"a-{number}", {}, []).encode())
    assert list(state.recent) == ["a-3", "a-4"]


def test_a_snapshot_restores_tree_and_answers_and_tells_the_difference():
    state = grown()
    other = State(Tree())
    other.apply(1, Transaction("", {}, [Create("/x", b"old", 1)]).encode())
    gone = [Create("/gone", b"", 2), Create("/gone/too", b"", 2)]
    other.apply(2, Transaction("", {}, [*gone, Create("/x/y", b"2", 2)]).encode())
    heard = []
    other.tree.watches.add("/", lambda change: heard.append((change.kind, change.path)), subtree=True)
    other.restore(state.snapshot())
    assert other.recent == state.recent
    assert (other.tree.zxid, other.tree.digest) == (2, state.tree.digest)
    assert heard == [
        ("deleted", "/x/y"),  # another one than the one that is there now
        ("deleted", "/gone/too"),
        ("deleted", "/gone"),
        ("changed", "/x"),
        ("created", "/x/y"),
        ("created", "/z"),
    ]
