"""Who is enough to go on."""

from broker.cluster.partitions import Electorate

THREE = {"n1": "a", "n2": "b", "n3": "c"}
FOUR = THREE | {"n4": "d"}


def test_more_than_half_is_a_majority() -> None:
    assert not Electorate([THREE]).enough({"n1": "a"})
    assert Electorate([THREE]).enough({"n1": "a", "n3": "c"})
    assert not Electorate([FOUR]).enough({"n1": "a", "n3": "c"})
    assert not Electorate([]).enough({"n1": "a"})


def test_another_folder_or_a_stranger_does_not_count() -> None:
    assert not Electorate([THREE]).enough({"n1": "a", "n2": "another", "n9": "x"})
    assert not Electorate([THREE]).includes("n2", "another")
    assert Electorate([THREE]).includes("n2", "b")


def test_every_list_in_force_needs_its_majority() -> None:
    changed = THREE | {"n1": "new"}
    both = Electorate([THREE, changed])
    assert not both.enough({"n1": "new", "n2": "b"})  # the old list has only n2
    assert both.enough({"n2": "b", "n3": "c"})
    assert both.names == {"n1", "n2", "n3"}


def test_the_agreed_mark_is_what_a_majority_has_reached() -> None:
    folders = FOUR
    assert Electorate([THREE]).agreed({"n1": 9, "n2": 5, "n3": 1}, folders) == 5
    assert Electorate([FOUR]).agreed({"n1": 9, "n2": 5, "n3": 1}, folders) == 1
    assert Electorate([THREE, FOUR]).agreed({"n1": 9, "n2": 5, "n3": 1}, folders) == 1
    assert Electorate([THREE]).agreed({"n1": 9, "n2": 5}, {"n1": "a", "n2": "another"}) == 0
    assert Electorate([]).agreed({"n1": 9}, folders) == 0
