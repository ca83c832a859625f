"""What each mode means in numbers and words."""

import pytest

from broker.node.partition_handling import PartitionHandling

THREE = ("n1", "n2", "n3")
IF_ALL_DOWN = PartitionHandling("pause_if_all_down", ("n1", "gone"), "autoheal")


def test_auto_follows_the_number_of_members():
    auto = PartitionHandling()
    assert [auto.in_effect(THREE[:count]) for count in (1, 2, 3)] == ["pause_minority", "autoheal", "pause_minority"]
    assert [auto.needed(THREE[:count]) for count in (1, 2, 3)] == [1, 1, 2]
    assert [auto.heals(THREE[:count]) for count in (1, 2, 3)] == [False, True, False]


def test_who_heals_by_itself():
    assert PartitionHandling("autoheal").heals(THREE)
    assert not PartitionHandling("ignore").heals(THREE)
    assert IF_ALL_DOWN.heals(THREE)
    assert not PartitionHandling("pause_if_all_down", ("n1",), "ignore").heals(THREE)


@pytest.mark.parametrize(
    ("handling", "up", "members", "text"),
    [
        (PartitionHandling(), ["n1", "n2"], THREE, "n1 and n2 have a majority"),
        (
            PartitionHandling(),
            ["n1"],
            THREE,
            "no majority is left: 1 of 3 run, 1 more is needed before clients are served (partition_handling: "
            "pause_minority)",
        ),
        (PartitionHandling(), ["n2"], THREE[:2], "n2 goes on (partition_handling: autoheal)"),
        (PartitionHandling("ignore"), ["n2", "n3"], THREE, "n2 and n3 go on (partition_handling: ignore)"),
        (PartitionHandling("ignore"), [], THREE, "none of 3 nodes runs"),
        (IF_ALL_DOWN, ["n1"], THREE, "n1 goes on (partition_handling: pause_if_all_down)"),
        (
            IF_ALL_DOWN,
            ["n2", "n3"],
            THREE,
            "n2 and n3 pause until n1 runs (partition_handling: pause_if_all_down)",
        ),
        (IF_ALL_DOWN, ["n3"], ("n2", "n3"), "n3 goes on (partition_handling: pause_if_all_down)"),
    ],
)
def test_what_is_said_of_those_who_are_up(handling, up, members, text):
    assert handling.prospects(up, members, up) == text


def test_who_starts_alone_may_have_to_wait():
    text = "n2 starts, and may have to wait for who ran last (partition_handling: autoheal)"
    assert PartitionHandling().prospects(["n2"], THREE[:2], []) == text


@pytest.mark.parametrize(
    "handling", [PartitionHandling(), PartitionHandling("ignore"), IF_ALL_DOWN, PartitionHandling("pause_minority")]
)
def test_it_comes_back_from_a_file(handling):
    assert PartitionHandling.from_json(handling.as_json()) == handling
