"""Nodes come back, or may never have been gone: cold start, lives out of sight, lost disks (safety 1, 2, 5, 7)."""

import pytest

from broker.cluster import schema
from broker.cluster.records import Life
from tests.cluster.procedures.leader import (
    ALL,
    ASKED,
    Leader,
    bind,
    exactly,
    nodes,
    refusal,
    unsynchronised,
)


@pytest.fixture
def three():
    return Leader("n1", "n2", "n3", policy=ALL)


class TestColdStart:
    def kill_all(self, leader):
        """Everything is killed at once: nobody is left to commit the end of a life."""
        self.contact = {}
        return {node: leader.life(node) for node in ("n1", "n2", "n3")}

    def start(self, leader, node):
        """The node comes up and registers; the leader sees those that have come up so far, in their new lives."""
        self.contact[node] = leader.life(node) + 1
        leader.start(node, contact=dict(self.contact))

    def test_the_first_to_register_is_not_thrown_out_in_favour_of_the_dead(self):
        """Safety schedule 2, last sentence."""
        leader = Leader("n1", "n2", "n3", policy=ALL)
        leader.declare()
        self.kill_all(leader)
        self.start(leader, "n2")
        assert "n2" in leader.shown()
        assert leader.queue().state == "running", "n1 may be alive: nothing is decided against it"
        assert leader.queue().in_sync == (Life("n1", 1), Life("n2", 1), Life("n3", 1))
        self.start(leader, "n3")
        self.start(leader, "n1")
        assert leader.queue().master == Life("n1", 2)
        assert leader.shown() == "n1* n2 n3"

    def test_a_member_of_the_set_serves_when_the_others_stay_away(self):
        leader = Leader("n1", "n2", "n3", policy=ALL)
        leader.declare()
        self.kill_all(leader)
        self.start(leader, "n2")
        self.start(leader, "n3")
        leader.end("n1", why="absent", contact=self.contact)
        assert leader.shown() == "n2* n3"

    def test_a_queue_waits_for_the_only_one_in_sync(self):
        """Safety schedule 5: B and C have a quorum before A listens; `always` must not throw A's messages away."""
        leader = Leader("n1", "n2", "n3", policy=ALL)
        leader.declare()
        leader.leave("n2")
        leader.leave("n3")
        self.kill_all(leader)
        self.start(leader, "n2")
        self.start(leader, "n3")
        leader.end("n1", why="absent", contact=self.contact)
        assert leader.shown() == "n1* waiting: waiting for n1"
        self.start(leader, "n1")
        assert leader.shown() == "n1* n2 n3"

    def test_two_that_were_in_sync_are_named(self):
        leader = Leader("n1", "n2", "n3", policy=exactly(2))
        leader.declare()
        leader.policy(nodes("n1", "n2"))
        leader.ask("reconcile")
        if leader.queue().in_sync != (Life("n1", 1), Life("n2", 1)):
            leader.enter("n2")
        self.kill_all(leader)
        self.start(leader, "n3")
        leader.end("n1", why="absent", contact=self.contact)
        leader.end("n2", why="absent", contact=self.contact)
        assert leader.shown() == "n1* (n2) waiting: waiting for n1 or n2"
        self.start(leader, "n2")
        assert leader.shown() == "n2*"

    def test_transient_things_end_with_the_last_life(self):
        leader = Leader("n1", "n2", "n3", policy=ALL)
        leader.declare("gone", durable=False)
        leader.declare("kept")
        leader.ask("declare_exchange", vhost="/", name="passing", kind="fanout")
        leader.ask("declare_exchange", vhost="/", name="lasting", kind="fanout", durable=True)
        for source in ("passing", "lasting"):
            for queue in ("gone", "kept"):
                bind(leader, source, queue)
        leader.start("n3")
        assert schema.exchange(leader.tree, "/", "passing") is not None, "somebody's life went on"
        self.kill_all(leader)
        self.start(leader, "n1")
        assert schema.exchange(leader.tree, "/", "passing") is None
        self.start(leader, "n2")
        self.start(leader, "n3")
        assert leader.shown("gone") == "gone"
        (binding,) = schema.bindings(leader.tree, "/")
        assert (binding.source, binding.destination) == ("lasting", "kept")


class TestUnknown:
    """A life that the tree calls running and the leader does not see is neither trusted nor given up."""

    def test_nobody_is_promoted_while_one_in_sync_may_still_live(self, three):
        three.declare()
        three.leave("n3")
        contact = {"n1": 1, "n3": 1}
        three.kill("n1", contact=contact)
        assert three.shown() == "n1* n2* n3 waiting: waiting for n2"
        three.ask("reconcile", node="n2", contact={"n2": 1, "n3": 1})
        assert three.shown() == "n2* n3", "it lives"

    def test_a_disk_does_not_stand_in_for_a_life_that_may_go_on(self, three):
        """What was confirmed from memory is with n2 only, if n2 lives."""
        three.declare()
        three.leave("n3")
        contact = {"n1": 2, "n3": 1}
        three.start("n1", contact=contact)
        assert three.shown() == "n1* n2* n3 waiting: waiting for n2"
        three.end("n2", why="absent", contact=contact)
        assert three.queue().master == Life("n1", 2)

    def test_who_was_out_of_sight_at_the_declaration_gets_its_copy_later(self, three):
        contact = {"n1": 1, "n2": 1}
        three.declare(contact=contact)
        three.policy(nodes("n1", "n3"), pattern="^x$", name="x", priority=2)
        three.declare("x", contact=contact)
        assert (three.shown(), three.shown("x")) == ("n1* n2*", "n1*")
        three.ask("reconcile", node="n3", contact={**contact, "n3": 1})
        assert (three.shown(), three.shown("x")) == ("n1* n2* n3", "n1* n3")

    def test_who_is_known_to_have_a_newer_life_does_not_enter(self, three):
        three.declare()
        three.leave("n2")
        record = three.queue()
        facts = {"id": record.id, "version": record.version, "contact": {"n1": 1, "n2": 2, "n3": 1}}
        assert refusal(three, "enter_in_sync", node="n2", life=1, **facts) == "stale"

    def test_its_end_settles_it_too(self, three):
        three.declare()
        three.leave("n3")
        three.kill("n1", contact={"n3": 1})
        three.kill("n2", contact={"n3": 1})
        assert three.shown() == f"n1* n3 (n2) {ASKED}"
        three.start("n2")
        assert three.shown() == "n2* n3"

    def test_a_newer_life_in_contact_proves_the_end_of_the_old_one(self, three):
        three.declare()
        three.kill("n1", contact={"n2": 2, "n3": 1})
        assert three.queue().master == Life("n3", 1)
        assert Life("n2", 1) not in three.queue().in_sync

    def test_a_master_out_of_sight_keeps_its_queue_and_the_dead_stay_candidates(self, three):
        three.declare()
        three.leave("n3")
        contact = {"n2": 2, "n3": 1}
        three.start("n2", contact=contact)
        assert three.queue().master == Life("n1", 1)
        assert three.queue().in_sync == (Life("n1", 1), Life("n2", 1))
        three.kill("n1", contact=contact)
        assert three.queue().master == Life("n2", 2), "n1 is dead: n2 has all of it on its disk"


class TestMemory:
    """DESIGN S13: what a folder can still hold."""

    def test_a_life_that_is_not_newer_is_an_old_folder(self, three):
        facts = {"node": "n1", "folder": "folder of n1"}
        assert refusal(three, "register_life", life=1, token="another process", **facts) == "old_life"
        assert refusal(three, "register_life", life=0, token="1", **facts) == "old_life"
        assert three.ask("register_life", life=1, token="1", **facts) == {"life": 1, "began": False}
        assert refusal(three, "register_life", node="n9", life=1, folder="x") == "not_found"

    @pytest.mark.parametrize("facts", [{"blank": True}, {"folder": "another folder"}])
    def test_a_blank_node_is_no_candidate_while_another_has_it(self, three, facts):
        three.declare()
        three.leave("n3")
        three.kill("n3")
        contact = {"n3": 1}
        three.kill("n1", contact=contact)
        three.kill("n2", contact=contact)
        three.start("n1", **facts)
        assert three.queue().in_sync == (Life("n2", 1),)
        assert three.shown() == "n2* waiting: waiting for n2"
        three.start("n2")
        assert three.shown() == "n2* n1"

    def test_the_only_copy_is_lost_with_the_disk_and_an_operator_decides(self):
        leader = Leader("n1", "n2")
        leader.declare()
        leader.kill("n1")
        assert leader.shown() == "n1* waiting: waiting for n1"
        leader.start("n1", blank=True)
        assert leader.shown() == "n1* unavailable: every synchronised copy is lost"
        assert leader.queue().master == Life("n1", 1), "nobody acts for it"
        leader.ask("promote", vhost="/", name="q", node="n1")
        assert leader.shown() == "n1*"
        assert leader.queue().lossy_term == leader.queue().term

    def test_always_takes_a_living_mirror_when_the_only_copy_is_lost(self):
        leader = unsynchronised(ALL)
        leader.start("n1", blank=True)
        assert leader.shown() == f"n1* n2 {ASKED}"
        leader.counts(n2=0)
        assert leader.shown() == "n2* n1"

    def test_a_node_that_keeps_nothing_begins_empty(self):
        leader = Leader("n1", "n2")
        leader.start("n1", memory=True)
        leader.declare()
        leader.start("n1", memory=True)
        assert leader.shown() == "n1*"
        assert leader.queue().lossy_term == leader.queue().term

    def test_nobody_waits_for_a_node_that_keeps_nothing(self):
        leader = Leader("n1", "n2", policy=ALL)
        leader.start("n1", memory=True)
        leader.declare()
        leader.leave("n2")
        leader.end("n1", why="absent")
        assert leader.shown() == f"n1* n2 {ASKED}"

    def test_a_damaged_copy_is_no_candidate_while_another_has_it(self, three):
        three.declare()
        three.leave("n3")
        damaged = [three.queue().id]
        contact = {"n3": 1}
        three.kill("n1", contact=contact)
        three.kill("n2", contact=contact)
        assert three.shown() == f"n1* n3 (n2) {ASKED}"
        three.start("n1", damaged=damaged)
        assert three.queue().in_sync == (Life("n2", 1),)
        three.start("n2", damaged=damaged)
        assert three.shown() == "n2* n3 n1", "better than nothing"
