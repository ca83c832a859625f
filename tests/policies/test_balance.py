"""Masters are spread so that no node has more than its share (scenario 30), with few moves and of small queues."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.balance import Move, Placed, next_move

ABC = ["a", "b", "c"]


def spread(queues, nodes, fixed=()):
    """Where the masters are when nothing is to be done any more, and the moves that it took."""
    by_id = {queue.id: queue for queue in queues}
    moves = []
    while (move := next_move(list(by_id.values()), nodes, fixed)) is not None:
        moves.append(move)
        queue = by_id[move.id]
        assert move.node in queue.mirrors
        others = [node for node in queue.mirrors if node != move.node]
        by_id[move.id] = queue._replace(master=move.node, mirrors=[*others, queue.master])
        assert len(moves) <= 10 * len(queues), "it ends"
    return Counter(queue.master for queue in by_id.values()), moves


def everywhere(count, master="a", nodes=ABC):
    return [Placed(number, master, [node for node in nodes if node != master], number) for number in range(count)]


def test_scenario_30_no_node_has_more_than_its_share():
    assert sorted(spread(everywhere(7), ABC)[0].values()) == [2, 2, 3]
    assert spread(everywhere(6), ABC)[0] == {"a": 2, "b": 2, "c": 2}
    assert spread(everywhere(1), ABC) == ({"a": 1}, [])
    assert spread([], ABC) == ({}, [])


def test_the_smallest_queues_go_first_and_no_more_than_have_to():
    _, moves = spread(everywhere(6), ABC)
    assert moves == [Move(0, "b"), Move(1, "c"), Move(2, "b"), Move(3, "c")]


def test_a_master_moves_only_to_a_mirror():
    alone = [Placed(number, "a", [], 0) for number in range(4)]
    assert next_move(alone, ABC) is None
    pairs = [Placed(number, "a", ["b"], 0) for number in range(4)]
    assert spread(pairs, ABC)[0] == {"a": 2, "b": 2}


def test_one_moves_on_to_make_room_for_another():
    queues = [Placed(number, "a", ["b"], 0) for number in range(4)] + [
        Placed(8, "b", ["c"], 0),
        Placed(9, "b", ["c"], 0),
    ]
    assert spread(queues, ABC)[0] == {"a": 2, "b": 2, "c": 2}


def test_a_node_that_may_have_none_gives_all_away_and_gets_nothing():
    assert spread(everywhere(4), ["b", "c"])[0] == {"b": 2, "c": 2}
    assert spread(everywhere(4, "b"), ["b", "c"])[0] == {"b": 2, "c": 2}
    assert next_move(everywhere(4), []) is None


def test_what_could_not_be_moved_stays_and_another_goes():
    assert spread(everywhere(2), ABC, fixed=[0]) == ({"a": 1, "b": 1}, [Move(1, "b")])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_it_always_ends_and_full_copies_are_spread_evenly(data):
    masters = data.draw(st.lists(st.sampled_from("abcd"), max_size=12))
    is_full = data.draw(st.booleans())
    queues = []
    for number, master in enumerate(masters):
        others = sorted(set("abcd") - {master})
        mirrors = others if is_full else data.draw(st.lists(st.sampled_from(others), unique=True))
        queues.append(Placed(number, master, mirrors, data.draw(st.integers(0, 3))))
    counts, _ = spread(queues, list("abc"))
    if is_full:
        assert max(counts.values(), default=0) <= -(-len(masters) // 3)
        assert not counts["d"]
