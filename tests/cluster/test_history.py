"""Where two logs part, who the members are, and what a snapshot remembers."""

from hypothesis import given
from hypothesis import strategies as st

from broker.cluster.entries import ROLL, TRANSACTION, DurableState, Entry, Roll, zxid_of
from broker.cluster.history import History, marker


def log(*epochs: tuple[int, int], members: dict[str, str] | None = None) -> History:
    """A log with these epochs, each with so many transactions behind its marker."""
    history = History(DurableState())
    for epoch, count in epochs:
        history.append(marker(zxid_of(epoch, 0), Roll("c", "n1", members or {"n1": "f1"})))
        for counter in range(1, count + 1):
            history.append(Entry(zxid_of(epoch, counter), TRANSACTION, b"%d" % counter))
    return history


def test_a_blank_log_shares_the_beginning_with_everyone() -> None:
    assert History(DurableState()).blank
    assert log((1, 3)).common_point([]) == 0
    assert History(DurableState()).common_point([(1, zxid_of(1, 3))]) == 0


def test_the_common_point_is_found_epoch_by_epoch() -> None:
    leader = log((1, 5), (3, 2))
    assert leader.common_point(log((1, 3)).epochs) == zxid_of(1, 3)
    assert leader.common_point(log((1, 9)).epochs) == zxid_of(1, 5)
    # ZOOKEEPER-2832: epoch 2 is higher than what both share, and nobody else has it.
    assert leader.common_point(log((1, 3), (2, 4)).epochs) == zxid_of(1, 3)
    assert leader.common_point(log((1, 5), (3, 7)).epochs) == zxid_of(3, 2)


shapes = st.lists(st.integers(0, 4), min_size=1, max_size=5)


@given(shared=shapes, mine=shapes, theirs=shapes)
def test_two_logs_share_exactly_what_lies_below_their_common_point(
    shared: list[int], mine: list[int], theirs: list[int]
) -> None:
    root = list(enumerate(shared, 1))
    first = log(*root, *((10 + 2 * i, n) for i, n in enumerate(mine)))
    second = log(*root, *((11 + 2 * i, n) for i, n in enumerate(theirs)))
    common = first.common_point(second.epochs)
    assert common == second.common_point(first.epochs) == zxid_of(*root[-1])
    assert first.contains(common)
    assert second.contains(common)
    first.truncate(common)
    second.truncate(common)
    assert first.entries == second.entries
    assert first.epochs == second.epochs


def test_a_list_of_members_is_in_force_until_a_later_one_is_committed() -> None:
    history = log((1, 1))
    roll = Roll("c", "n1", {"n1": "f1", "n2": "f2"})
    history.append(Entry(zxid_of(1, 2), ROLL, roll.encode()))
    assert [roll.members for roll in history.rolls_in_force(zxid_of(1, 1))] == [{"n1": "f1"}, {"n1": "f1", "n2": "f2"}]
    assert [roll.members for roll in history.rolls_in_force(zxid_of(1, 2))] == [{"n1": "f1", "n2": "f2"}]
    before = history.roll_at(zxid_of(1, 1))
    assert before
    assert before.members == {"n1": "f1"}
    assert history.roll_at(0) is None
    history.truncate(zxid_of(1, 1))
    assert history.members == {"n1": "f1"}


def test_a_snapshot_keeps_what_the_log_below_it_said() -> None:
    history = log((1, 5), (2, 5))
    snapshot = history.snapshot_at(zxid_of(2, 3), b"state")
    assert snapshot.epochs == ((1, zxid_of(1, 5)), (2, zxid_of(2, 3)))
    history.compact(snapshot)
    assert [entry.zxid for entry in history.entries] == [zxid_of(2, 4), zxid_of(2, 5)]
    assert history.contains(zxid_of(1, 2))
    assert history.last_zxid == zxid_of(2, 5)
    again = History(DurableState(accepted_epoch=2, snapshot=snapshot, entries=history.entries))
    assert again.epochs == history.epochs
    assert again.members == history.members
    other = log((1, 1))
    other.install(snapshot)
    assert other.last_zxid == zxid_of(2, 3)
    assert other.common_point(history.epochs) == zxid_of(2, 3)
