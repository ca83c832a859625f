"""Slots of members: no two folders ever share one, as long as there are any."""

from broker.cluster.entries import SLOTS, Roll
from broker.cluster.views import slot_of, slots_for


def test_slots_are_given_out_in_order_and_never_twice() -> None:
    members = {"n1": "a", "n2": "b"}
    slots = slots_for(None, members)
    assert slots == {"a": 0, "b": 1}
    without = Roll("c", "n1", {"n1": "a"}, None, slots)
    assert slots_for(without, {"n1": "a", "n3": "d"}) == {"a": 0, "b": 1, "d": 2}
    assert slots_for(without, {"n1": "a", "n2": "new"}) == {"a": 0, "b": 1, "new": 2}


def test_a_log_without_slots_counts_by_name() -> None:
    roll = Roll("c", "n1", {"n2": "b", "n1": "a"})
    assert [slot_of(roll, name) for name in ("n1", "n2")] == [0, 1]
    assert slots_for(roll, {"n1": "a", "n2": "b", "n0": "z"}) == {"a": 0, "b": 1, "z": 2}


def test_those_who_left_make_room_when_all_slots_are_used() -> None:
    roll = Roll("c", "n1", {"n1": "a"}, None, {"a": 0} | {f"gone {i}": i for i in range(1, SLOTS)})
    assert slots_for(roll, {"n1": "a", "n2": "b"}) == {"a": 0, "b": 1}


def test_a_roll_is_read_as_it_was_written() -> None:
    roll = Roll("c", "n1", {"n1": "a"}, {"n1": 7}, {"a": 3})
    assert Roll.decode(roll.encode()) == roll
    plain = Roll("c", "n1", {"n1": "a"})
    assert Roll.decode(plain.encode()) == plain
    assert b"view" not in plain.encode()
