"""Where copies go: section 4 of the mirroring specification, line by line."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from policies.placement import Placement, first_master, is_mirrored, node_name, place, relieved

ALL = {"ha-mode": "all"}
ABC = ["a", "b", "c"]


def exactly(count):
    return {"ha-mode": "exactly", "ha-params": count}


def nodes(*names):
    return {"ha-mode": "nodes", "ha-params": list(names)}


def placed(definition, master, mirrors=(), synchronised=(), running=ABC):
    return place(definition, master, mirrors, synchronised, running, Random(1))


def test_scenario_01_all_nodes_named_nodes_and_none():
    assert placed({}, "a") == Placement("a", ())
    assert placed(ALL, "a") == Placement("a", ("b", "c"))
    assert placed(nodes("a", "b"), "a", ["b", "c"], ["b", "c"]) == Placement("a", ("b",))
    assert placed(nodes("a", "c"), "a", ["b"], ["b"]) == Placement("a", ("c",))
    assert placed({}, "a", ["c"], ["c"]) == Placement("a", ())


def test_scenario_02_exactly_refills_and_takes_what_there_is():
    assert placed(exactly(2), "a", [], [], ["a", "c"]) == Placement("a", ("c",))
    assert placed(exactly(4), "a", ["b"], ["b"]) == Placement("a", ("b", "c"))


def test_scenario_03_exactly_one_is_mirrored_without_mirrors():
    assert is_mirrored(exactly(1))
    assert placed(exactly(1), "a", ["b"], ["b"]) == Placement("a", ())


def test_exactly_keeps_the_oldest():
    assert placed(exactly(2), "a", ["c", "b"], ["b"]) == Placement("a", ("c",))


def test_exactly_chooses_by_chance_and_equally_for_one_seed():
    chosen = {place(exactly(2), "a", [], [], ABC, Random(seed)).mirrors for seed in range(20)}
    assert chosen == {("b",), ("c",)}
    assert place(exactly(2), "a", [], [], ABC, Random(7)) == place(exactly(2), "a", [], [], ABC[::-1], Random(7))


def test_scenario_07_a_master_that_is_not_named_stays_until_a_mirror_is_synchronised():
    assert placed(nodes("b", "c"), "a", ["b", "c"], []) == Placement("a", ("b", "c"))
    assert placed(nodes("b", "c"), "a", ["b", "c"], ["c"]) == Placement("c", ("b",))


def test_nodes_falls_back_to_a_synchronised_mirror_that_is_not_named():
    assert placed(nodes("c"), "a", ["b"], ["b"]) == Placement("b", ("c",))


def test_nodes_that_do_not_run_keep_the_master_where_it_is():
    assert placed(nodes("x", "y"), "a", ["b"], ["b"]) == Placement("a", ())


def test_both_forms_of_a_name_are_one_node():
    assert node_name("rabbit@n1") == node_name("n1") == "n1"
    assert placed(nodes("rabbit@a", "rabbit@b", "b"), "a") == Placement("a", ("b",))


@given(
    st.sampled_from([{}, ALL, exactly(1), exactly(2), exactly(3), nodes("a"), nodes("b", "d"), nodes("c", "a", "x")]),
    st.lists(st.sampled_from(["b", "c", "d"]), unique=True),
    st.lists(st.sampled_from(["b", "c", "d"]), unique=True),
    st.integers(),
)
def test_a_placement_is_sound(definition, mirrors, synchronised, seed):
    synchronised = [node for node in synchronised if node in mirrors]
    running = ["a", *mirrors, *({"b", "d"} - set(mirrors))]
    wanted = place(definition, "a", mirrors, synchronised, running, Random(seed))
    assert wanted.master not in wanted.mirrors
    assert len(set(wanted.mirrors)) == len(wanted.mirrors)
    assert {wanted.master, *wanted.mirrors} <= set(running)
    # The messages never go: either the master stays, or someone who holds everything takes over.
    assert wanted.master == "a" or wanted.master in synchronised


def test_maintenance_moves_the_master_to_the_oldest_synchronised_mirror():
    wanted = Placement("a", ("b", "c"))
    assert relieved(wanted, ["b", "c"], []) == wanted
    assert relieved(wanted, ["b", "c"], ["b"]) == wanted
    assert relieved(wanted, ["b", "c"], ["a"]) == Placement("b", ("c", "a"))
    assert relieved(wanted, ["b", "c"], ["a", "b"]) == Placement("c", ("b", "a"))
    assert relieved(wanted, ["c"], ["a"]) == Placement("c", ("b", "a"))
    assert relieved(wanted, [], ["a"]) == relieved(wanted, ["b", "c"], ["a", "b", "c"]) == wanted


MASTERS = {"a": 3, "b": 1, "c": 1}


def test_scenario_06_locators():
    assert first_master(None, {}, "c", MASTERS, Random(1)) == "c"
    assert first_master("client-local", {}, "c", MASTERS, Random(1)) == "c"
    assert first_master("min-masters", {}, "a", MASTERS, Random(1)) == "b"
    assert {first_master("random", {}, "a", MASTERS, Random(seed)) for seed in range(30)} == set(ABC)


def test_scenario_06_nodes_narrows_min_masters_and_random():
    assert first_master("min-masters", nodes("rabbit@a", "c"), "a", MASTERS, Random(1)) == "c"
    assert {first_master("random", nodes("a", "c"), "b", MASTERS, Random(seed)) for seed in range(30)} == {"a", "c"}
    assert first_master("min-masters", nodes("x"), "a", MASTERS, Random(1)) == "b"
