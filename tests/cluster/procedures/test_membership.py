"""Who joins, retires, is forgotten or gets another name, and what becomes of the copies."""

import pytest

from broker.cluster import schema
from broker.cluster.records import Life
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import ALL, Leader, nodes


@pytest.fixture
def three():
    return Leader("n1", "n2", "n3", policy=ALL)


def refused(leader, do, **members):
    with pytest.raises(Refused) as caught:
        leader.ask(do, **members)
    return caught.value


def test_who_joins_learns_whom_it_joins(three):
    three.ask("register_life", node="n1", life=2, folder="folder of n1", link="n1:1")
    assert three.ask("add_member", node="n4", link="n4:1") == {
        "created": True,
        "life": 0,
        "cluster": "c1",
        "members": {"n1": "n1:1", "n2": "", "n3": "", "n4": "n4:1"},
    }
    three.start("n4")
    again = three.ask("add_member", node="n4", link="n4:2")
    assert (again["created"], again["life"], again["members"]["n4"]) == (False, 1, "n4:2")


def test_a_life_says_where_it_is_dialled_and_keeps_what_it_does_not_say(three):
    three.start("n2", link="n2:1")
    three.start("n2")
    assert schema.member(three.tree, "n2").link == "n2:1"


def test_a_running_member_may_retire_but_not_the_last(three):
    assert three.ask("retire_member", node="n3") == {"changed": True}
    assert three.ask("retire_member", node="n3") == {"changed": False}
    three.ask("retire_member", node="n2")
    assert refused(three, "retire_member", node="n1").why == "n1 is the only member of its cluster"
    three.start("n3")
    assert schema.member(three.tree, "n3").leaving, "also in a next life"
    three.ask("add_member", node="n3")
    assert not schema.member(three.tree, "n3").leaving


def test_nobody_retires_who_would_leave_no_majority(three):
    three.kill("n2")
    assert refused(three, "retire_member", node="n3").why == (
        "without n3 there would be no majority: of n1, n2 only n1 would run (start n2 first)"
    )
    three.ask("retire_member", node="n2")
    three.ask("retire_member", node="n3")


def test_an_operators_word_ends_a_member_that_nobody_saw_die(three):
    assert refused(three, "forget_member", node="n3").code == "running"
    assert refused(three, "forget_member", node="n3", gone=True, contact={"n1": 1, "n3": 1}).code == "running"
    assert three.ask("forget_member", node="n3", gone=True, contact={"n1": 1}) == {"deleted": True}
    three.declare()
    assert three.shown() == "n1* n2*"


def test_a_renamed_member_finds_its_copies_under_its_new_name():
    leader = Leader("n1", "n2", "n3", policy=nodes("n1", "n2"))
    leader.declare("mirrored")
    leader.declare("own", node="n3")
    leader.clear()
    leader.declare("only", node="n2")
    assert refused(leader, "rename_member", node="n2", name="m2").code == "running"
    leader.stop("n2")
    assert refused(leader, "rename_member", node="n2", name="n3").code == "exists"
    assert leader.ask("rename_member", node="n2", name="m2") == {"renamed": True}
    assert list(schema.members(leader.tree)) == ["m2", "n1", "n3"]
    assert leader.shown("only") == "m2* waiting: waiting for m2"
    leader.ask("register_life", node="m2", life=2, folder="folder of n2")
    assert leader.queue("only").master == Life("m2", 2)
    assert leader.shown("only") == "m2*"


def test_a_cluster_is_called_what_an_operator_says_and_stays_the_same_one(three):
    three.ask("set_cluster_name", name="shop")
    assert schema.cluster(three.tree).title == "shop"
    assert three.ask("found", name="local", id="c1", members=["n1"]) == {"id": "c1"}
