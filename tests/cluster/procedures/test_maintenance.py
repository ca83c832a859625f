"""Maintenance of nodes, and who may spread the masters anew: scenario 30's lock, and no master on a drained node that
could be elsewhere."""

import pytest

from broker.cluster import schema
from broker.cluster.records import Life
from tests.cluster.procedures.leader import ALL, ASKED, Leader, exactly, nodes, refused


@pytest.fixture
def three():
    return Leader("n1", "n2", "n3", policy=ALL)


def drain(leader, node):
    return leader.ask("drain_node", node=node)


class TestDrain:
    def test_its_masters_go_to_the_oldest_synchronised_mirror_and_it_keeps_its_copies(self, three):
        three.declare("a")
        three.declare("b", node="n2")
        three.leave("n2", "a")
        assert drain(three, "n1") == {"changed": True}
        assert three.shown("a") == "n3* n2 n1"
        assert three.shown("b") == "n2* n1* n3*"
        (event,) = three.told("promotion")
        assert (event["from"], event["to"], event["cause"], event["lossy"]) == ("n1", "n3", "maintenance", False)
        assert drain(three, "n1") == {"changed": False}
        assert [(event["node"], event["change"]) for event in three.told("maintenance")] == [("n1", "drained")]

    def test_a_master_without_synchronised_mirror_stays_until_there_is_one(self, three):
        three.declare()
        three.leave("n2")
        three.leave("n3")
        drain(three, "n1")
        assert three.shown() == "n1* n2 n3"
        three.enter("n3")
        assert three.shown() == "n3* n2 n1"

    def test_queues_without_mirrors_stay(self):
        leader = Leader("n1", "n2")
        leader.declare()
        leader.declare("e", exclusive=True, connection="c")
        drain(leader, "n1")
        assert (leader.shown(), leader.shown("e")) == ("n1*", "n1*")

    def test_it_is_remembered_over_restarts_and_undone_by_reviving(self, three):
        three.declare()
        drain(three, "n1")
        three.stop("n1")
        three.start("n1")
        assert schema.member(three.tree, "n1").drained
        assert three.ask("revive_node", node="n1") == {"changed": True}
        assert not schema.member(three.tree, "n1").drained
        assert three.shown() == "n2* n3* n1", "what has left stays away"
        assert three.ask("revive_node", node="n1") == {"changed": False}

    def test_a_death_does_not_make_it_master_while_another_could_be(self, three):
        three.declare()
        drain(three, "n2")
        three.kill("n1")
        assert three.shown() == "n3* n2*"
        three.kill("n3")
        assert three.shown() == "n2*", "better than none"

    def test_with_everybody_in_maintenance_masters_stay_and_move_to_the_first_who_is_back(self, three):
        three.declare()
        for node in ("n3", "n2", "n1"):
            drain(three, node)
        assert three.shown() == "n1* n2* n3*"
        three.ask("revive_node", node="n3")
        assert three.shown() == "n3* n2* n1"

    def test_new_queues_go_elsewhere(self, three):
        drain(three, "n1")
        three.declare("here", node="n1")
        assert three.shown("here") == "n2* n3* n1*"
        for locator in ("min-masters", "random"):
            for number in range(8):
                three.declare(f"{locator} {number}", node="n1", locator=locator)
                assert three.queue(f"{locator} {number}").master.node != "n1"
        three.clear()
        three.declare("alone", node="n3", arguments={"x-queue-master-locator": "min-masters"})
        assert three.queue("alone").master.node != "n1"

    def test_the_policy_wants_it_there_and_only_there(self):
        leader = Leader("n1", "n2")
        leader.declare()
        drain(leader, "n1")
        leader.policy(nodes("n1"))
        assert leader.shown() == "n1*"

    def test_exactly_keeps_its_number(self):
        leader = Leader("n1", "n2", "n3", policy=exactly(2))
        leader.declare()
        mirror = leader.queue().mirrors[0].node
        drain(leader, "n1")
        assert leader.shown() == f"{mirror}* n1"

    def test_nobody_moves_a_master_there(self, three):
        three.declare(node="n2")
        drain(three, "n1")
        assert refused(three, "transfer", vhost="/", name="q", node="n1") == (
            "drained",
            "n1 is in maintenance: no master goes there",
        )

    def test_who_is_no_member(self, three):
        for do in ("drain_node", "revive_node"):
            assert refused(three, do, node="n9") == ("not_found", "n9 is not a member of this cluster")


class TestRebalanceLock:
    def test_scenario_30_one_at_a_time(self, three):
        three.ask("begin_rebalance", node="n1", life=1)
        three.ask("begin_rebalance", node="n1", life=1)
        assert refused(three, "begin_rebalance", node="n2", life=1)[0] == "rebalance_in_progress"
        three.ask("end_rebalance", node="n2", life=1)
        assert refused(three, "begin_rebalance", node="n2", life=1)[0] == "rebalance_in_progress"
        three.ask("end_rebalance", node="n1", life=1)
        three.ask("begin_rebalance", node="n2", life=1)

    def test_a_life_that_is_over_holds_nothing(self, three):
        three.ask("begin_rebalance", node="n1", life=1)
        three.kill("n1")
        three.ask("begin_rebalance", node="n2", life=1)
        three.start("n2")
        three.ask("begin_rebalance", node="n3", life=1)


def test_a_node_that_is_back_before_the_masters_death_is_known_stays_a_candidate(three):
    """Its copy is the most complete one that there will be, if the master does not come back."""
    three.declare()
    three.leave("n2")
    three.leave("n3")
    contact = {"n2": 2, "n3": 1}
    three.start("n2", contact=contact)
    assert three.queue().master == Life("n1", 1), "nobody knows whether it lives"
    assert three.queue().candidates == ("n2", "n3")
    three.kill("n1", contact=contact)
    assert three.shown() == f"n1* n3 {ASKED}"
    assert "n2" in three.queue().candidates
    three.counts(n3=1)
    assert three.shown() == "n3* n2"
