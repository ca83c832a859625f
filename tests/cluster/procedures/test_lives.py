"""Lives end and begin: who is promoted, who waits, what vanishes (mirroring 10, 11, 13; rules S3, S12, S13)."""

import pytest

from broker.cluster import schema
from broker.cluster.records import Life
from tests.cluster.procedures.leader import (
    ALL,
    ASKED,
    WHEN_SYNCED,
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


class TestTheTableOfSection11:
    """`synchronised mirror? | promote-on-shutdown | promote-on-failure | result`, and the table below it."""

    KEYS = ("always", "when-synced", None)

    @pytest.mark.parametrize("on_shutdown", KEYS)
    @pytest.mark.parametrize("on_failure", KEYS)
    @pytest.mark.parametrize("why", ["shutdown", "disk", "failure"])
    def test_a_synchronised_mirror_is_promoted_whatever_the_keys_say(self, why, on_failure, on_shutdown):
        leader = Leader("n1", "n2", "n3", policy=with_keys(on_shutdown, on_failure))
        leader.declare()
        leader.end("n1", why=why)
        assert leader.shown() == "n2* n3*"
        (event,) = leader.told("promotion")
        assert (event["from"], event["to"], event["cause"], event["lossy"]) == ("n1", "n2", why, False)

    @pytest.mark.parametrize(
        ("on_shutdown", "on_failure", "result"),
        [
            (None, None, "ha-promote-on-shutdown"),
            ("when-synced", "always", "ha-promote-on-shutdown"),
            ("when-synced", "when-synced", "ha-promote-on-shutdown"),
            ("always", None, ASKED),
            ("always", "always", ASKED),
            ("always", "when-synced", "ha-promote-on-failure"),
        ],
    )
    @pytest.mark.parametrize("why", ["shutdown", "disk"])
    def test_controlled_stop_without_a_synchronised_mirror(self, on_shutdown, on_failure, result, why):
        leader = unsynchronised(with_keys(on_shutdown, on_failure))
        leader.end("n1", why=why)
        assert leader.shown() == refused_by(result)

    @pytest.mark.parametrize("on_shutdown", KEYS)
    @pytest.mark.parametrize(
        ("on_failure", "result"),
        [(None, ASKED), ("always", ASKED), ("when-synced", "ha-promote-on-failure")],
    )
    def test_uncontrolled_loss_without_a_synchronised_mirror(self, on_shutdown, on_failure, result):
        leader = unsynchronised(with_keys(on_shutdown, on_failure))
        leader.kill("n1")
        assert leader.shown() == refused_by(result)

    @pytest.mark.parametrize("why", ["shutdown", "disk", "failure"])
    def test_an_unavailable_queue_is_back_when_its_node_is(self, why):
        leader = unsynchronised(with_keys("when-synced", "when-synced"))
        leader.end("n1", why=why)
        leader.start("n1")
        assert leader.shown() == "n1* n2"
        assert leader.queue().master == Life("n1", 2)


def with_keys(on_shutdown, on_failure):
    keys = {"ha-promote-on-shutdown": on_shutdown, "ha-promote-on-failure": on_failure}
    return ALL | {key: value for key, value in keys.items() if value is not None}


def refused_by(result):
    if result == ASKED:
        return f"n1* n2 {ASKED}"
    return f"n1* n2 unavailable: no synchronised mirror and {result} is when-synced; waiting for n1"


class TestPromotion:
    def test_it_is_one_step_oldest_first_under_a_new_term(self, three):
        three.declare()
        before = three.queue()
        three.kill("n1")
        after = three.queue()
        assert (after.master, after.in_sync) == (Life("n2", 1), (Life("n2", 1), Life("n3", 1)))
        assert (after.term, after.term_count) == (three.zxid, before.term_count + 1)
        assert after.version == before.version + 1

    def test_a_younger_synchronised_mirror_goes_before_an_older_one_that_is_not(self, three):
        three.declare()
        three.leave("n2")
        three.kill("n1")
        assert three.shown() == "n3* n2"

    def test_a_dead_mirror_leaves_the_set_and_comes_back_youngest(self, three):
        three.declare()
        three.kill("n2")
        assert three.shown() == "n1* n3*"
        assert three.queue().candidates == ("n2", "n3")
        three.start("n2")
        assert three.shown() == "n1* n3* n2"
        assert three.queue().candidates == ("n2", "n3"), "nobody's place changes by coming back"

    def test_a_restart_that_nobody_noticed_ends_the_old_life_in_the_same_transaction(self, three):
        """Safety schedule 2: the new life must not pass for the old one, which had the transient messages."""
        three.declare()
        three.start("n2")
        assert three.shown() == "n1* n3* n2"
        assert three.queue().mirrors == (Life("n3", 1), Life("n2", 2))
        three.start("n1")
        assert three.shown() == "n3* n2 n1"

    def test_a_restarted_master_without_synchronised_mirror_gets_a_new_term(self):
        """Safety schedule 3a: what the old life appended under the old term is another history."""
        leader = unsynchronised(WHEN_SYNCED)
        before = leader.queue()
        leader.start("n1")
        assert leader.shown() == "n1* n2"
        assert leader.queue().term > before.term

    def test_two_deaths_one_after_the_other(self, three):
        three.declare()
        three.kill("n1", "n2")
        assert three.shown() == "n3*"
        three.kill("n3")
        assert three.shown() == "n3* waiting: waiting for n3"
        three.start("n2")
        assert three.shown() == "n3* waiting: waiting for n3", "n2 lacks what n3 confirmed alone"
        three.start("n3")
        assert three.shown() == "n3* n2"
        assert [event["to"] for event in three.told("promotion")] == ["n2", "n3", "n3"]

    def test_the_end_of_a_life_is_told_once_and_an_old_one_changes_nothing(self, three):
        three.declare()
        three.kill("n2")
        three.start("n2")
        before = three.tree.digest
        assert three.ask("end_life", node="n2", life=1, why="failure") == {"ended": False}
        assert three.tree.digest == before
        assert [(e["node"], e["change"]) for e in three.told("life")][-2:] == [("n2", "ended"), ("n2", "began")]
        assert refusal(three, "end_life", node="n2", life=2, why="boredom") == "invalid"
        assert refusal(three, "end_life", node="n9", life=2, why="failure") == "not_found"

    def test_exactly_refills_at_once_and_prefers_who_had_a_copy(self):
        leader = Leader("n1", "n2", "n3", "n4", policy=exactly(2))
        leader.declare()
        first = leader.queue().mirrors[0].node
        leader.kill(first)
        second = leader.queue().mirrors[0].node
        assert second not in (first, "n1")
        leader.start(first)
        assert [life.node for life in leader.queue().mirrors] == [second], "the number is full"
        for _ in range(5):
            leader.start(second)
            assert [life.node for life in leader.queue().mirrors] == [second], "its disk has most of it"


class TestTheReport:
    """Of each promotion: whether the new master held everything, and if not, what may be missing."""

    def report(self, leader):
        (event,) = leader.told("promotion")
        return event["in_sync"], event["missing"], event["kinds"]

    def test_a_synchronised_mirror_lacks_nothing(self, three):
        three.declare()
        three.kill("n1")
        assert self.report(three) == (True, 0, [])
        three.ask("transfer", vhost="/", name="q", node="n3")
        assert self.report(three) == (True, 0, [])

    def test_a_master_that_comes_back_has_what_its_disk_kept(self):
        leader = unsynchronised(WHEN_SYNCED)
        leader.start("n1")
        assert self.report(leader) == (False, None, ["transient"])

    @pytest.mark.parametrize(("durable", "kinds"), [(True, ["persistent", "transient"]), (False, ["transient"])])
    def test_a_mirror_that_was_not_synchronised_may_lack_anything(self, durable, kinds):
        leader = Leader("n1", "n2", policy=ALL)
        leader.declare(durable=durable)
        leader.leave("n2")
        leader.kill("n1")
        leader.ask("promote", vhost="/", name="q", node="n2", held=3, missing=4)
        assert self.report(leader) == (False, 4, kinds)


class TestAlways:
    """Two steps: the living mirrors are asked before one of them is taken."""

    @pytest.fixture
    def leader(self):
        leader = Leader("n1", "n2", "n3", policy=ALL)
        leader.declare()
        leader.leave("n2")
        leader.leave("n3")
        leader.kill("n1")
        assert leader.shown() == f"n1* n2 n3 {ASKED}"
        return leader

    def test_the_most_complete_mirror_is_taken(self, leader):
        leader.told("promotion")
        leader.ask(
            "promote_most_complete",
            id=leader.queue().id,
            version=leader.queue().version,
            counts={"n2": 3, "n3": 7},
            missing={"n2": 6, "n3": 2},
        )
        assert leader.shown() == "n3* n2"
        assert leader.queue().lossy_term == leader.queue().term
        (event,) = leader.told("promotion")
        assert (event["to"], event["lossy"], event["missing"], event["held"]) == ("n3", True, 2, 7)
        assert event["cause"] == "failure", "that the mirrors had to be asked is no cause"

    def test_of_equal_ones_the_oldest(self, leader):
        leader.counts(n2=5, n3=5)
        assert leader.shown() == "n2* n3"

    def test_answers_of_a_node_that_has_died_meanwhile_do_not_count(self, leader):
        leader.kill("n3")
        assert leader.shown() == f"n1* n2 {ASKED}"
        leader.counts(n2=1, n3=9)
        assert leader.shown() == "n2*"

    def test_without_any_living_mirror_it_waits_for_who_was_in_sync(self, leader):
        leader.kill("n2", "n3")
        assert leader.shown() == "n1* waiting: waiting for n1"
        leader.start("n3")
        assert leader.shown() == "n1* waiting: waiting for n1", "the key speaks of a master that the quorum saw die"

    def test_the_master_that_comes_back_in_time_is_better(self, leader):
        version = leader.queue().version
        leader.start("n1")
        assert leader.shown() == "n1* n2 n3"
        late = {"id": leader.queue().id, "counts": {"n2": 1}}
        assert refusal(leader, "promote_most_complete", version=version, **late) == "stale"
        assert refusal(leader, "promote_most_complete", version=leader.queue().version, **late) == "stale"

    def test_a_life_that_was_only_awaited_in_vain_does_not_count(self):
        leader = Leader("n1", "n2", "n3", policy=ALL)
        leader.declare()
        leader.leave("n2")
        leader.leave("n3")
        leader.end("n1", why="absent")
        assert leader.shown() == "n1* n2 n3 waiting: waiting for n1"
        leader.kill("n3")
        assert leader.shown() == "n1* n2 waiting: waiting for n1", "n3 was not in sync: its death is another matter"

    def test_nobody_answered(self, leader):
        late = {"id": leader.queue().id, "version": leader.queue().version, "counts": {"n7": 1}}
        assert refusal(leader, "promote_most_complete", **late) == "stale"


class TestWhatVanishes:
    def test_exclusive_queues_go_with_their_node(self, three):
        three.declare("e", node="n2", exclusive=True, connection="c")
        bind(three, "amq.fanout", "e")
        three.kill("n1")
        assert three.shown("e") == "n2*"
        three.kill("n2")
        assert three.shown("e") == "gone"
        assert schema.bindings(three.tree, "/") == []
        assert [event["queue"] for event in three.told("vanished")] == ["e"]

    def test_an_unmirrored_queue_goes_or_waits_by_its_durability(self):
        leader = Leader("n1", "n2")
        leader.declare("t", durable=False)
        leader.declare("d")
        leader.kill("n1")
        assert leader.shown("t") == "gone"
        assert leader.shown("d") == "n1* waiting: waiting for n1"
        leader.start("n1")
        assert leader.shown("d") == "n1*"

    def test_scenario_21_a_transient_mirrored_queue_lives_as_long_as_a_copy(self, three):
        three.declare(durable=False)
        three.kill("n1")
        assert three.shown() == "n2* n3*"
        three.start("n2")
        assert three.shown() == "n3* n1 n2" or three.shown() == "n3* n2"
        three.kill("n3")
        assert ASKED in three.shown()

    def test_a_transient_queue_that_nobody_may_take_over_is_no_ghost(self):
        leader = Leader("n1", "n2", policy=WHEN_SYNCED)
        leader.declare(durable=False)
        leader.leave("n2")
        leader.kill("n1")
        assert leader.shown() == "gone"

    def test_an_auto_delete_exchange_goes_with_the_queue_that_was_its_last(self):
        leader = Leader("n1", "n2")
        leader.declare("t", durable=False)
        leader.ask("declare_exchange", vhost="/", name="x", kind="fanout", auto_delete=True)
        bind(leader, "x", "t")
        leader.kill("n1")
        assert schema.exchange(leader.tree, "/", "x") is None


class TestMembers:
    def test_who_joins_takes_its_share(self):
        leader = Leader("n1", "n2", policy=exactly(3))
        leader.declare()
        assert leader.ask("add_member", node="n3")["created"]
        assert not leader.ask("add_member", node="n3")["created"]
        assert leader.shown() == "n1* n2*"
        leader.start("n3")
        assert leader.shown() == "n1* n2* n3"

    def test_a_running_member_is_not_forgotten(self, three):
        assert refusal(three, "forget_member", node="n1") == "running"
        assert refusal(three, "forget_member", node="n9") == "not_found"

    def test_an_unmirrored_queue_of_a_forgotten_node_is_deleted(self):
        leader = Leader("n1", "n2")
        leader.declare()
        leader.kill("n1")
        leader.ask("forget_member", node="n1")
        assert leader.shown() == "gone"
        assert list(schema.members(leader.tree)) == ["n2"]

    def test_a_living_mirror_takes_over_from_a_forgotten_master_even_under_when_synced(self):
        leader = unsynchronised(WHEN_SYNCED)
        leader.kill("n1")
        leader.ask("forget_member", node="n1")
        assert leader.shown() == f"n1* n2 {ASKED}"
        leader.counts(n2=4)
        assert leader.shown() == "n2*"

    def test_scenario_26_a_stopped_mirror_is_awaited_instead(self):
        leader = Leader("n1", "n2", "n3", policy=WHEN_SYNCED)
        leader.policy(nodes("n1", "n2", **{"ha-promote-on-failure": "when-synced"}))
        leader.declare()
        leader.leave("n2")
        leader.kill("n2", "n1")
        leader.ask("forget_member", node="n1")
        assert leader.shown() == "n2* waiting: waiting for n2"
        leader.start("n2")
        assert leader.shown() == "n2*"

    def test_who_was_in_sync_besides_the_forgotten_one_is_still_awaited(self):
        leader = Leader("n1", "n2", "n3", policy=ALL)
        leader.declare()
        leader.leave("n3")
        leader.kill("n1", contact={"n3": 1})
        leader.kill("n2", contact={"n3": 1})
        leader.ask("forget_member", node="n1")
        assert leader.queue().in_sync == (Life("n2", 1),)


def test_a_cluster_is_founded_once(three):
    assert three.ask("found", name="local", id="c1", members=["n1"]) == {"id": "c1"}
    assert refusal(three, "found", name="local", id="c2", members=["n1"]) == "exists"


def test_the_founding_brings_vhosts_users_and_policies():
    leader = Leader()
    fresh = Leader.__new__(Leader)
    fresh.__dict__.update(leader.__dict__)
    fresh.tree, fresh.other = type(leader.tree)(schema.index), type(leader.tree)(schema.index)
    fresh.overlay = type(leader.overlay)(fresh.tree)
    fresh.ask(
        "found",
        name="c",
        id="i",
        members=["n1"],
        vhosts=["/", "v"],
        users=[{"name": "u", "password": "p", "tags": ["management"], "permissions": {"v": ["a", "b", "c"]}}],
        policies=[{"name": "ha-all", "pattern": "", "definition": ALL, "vhost": "v"}],
        operator_policies=[{"name": "o", "pattern": "", "definition": {"max-length": 5}}],
    )
    assert [vhost.name for vhost in schema.vhosts(fresh.tree)] == ["/", "v"]
    assert schema.permission(fresh.tree, "v", "u").write == "b"
    assert [policy.name for policy in schema.policies(fresh.tree, "v")] == ["ha-all"]
    assert [policy.name for policy in schema.policies(fresh.tree, "/", operator=True)] == ["o"]
    assert len(schema.exchanges(fresh.tree, "v")) == 7
