"""Quorum queues: their type says how many copies there are and who may become master, whatever policies say."""

from tests.cluster.procedures.leader import ALL, Leader, exactly

QUORUM = {"x-queue-type": "quorum"}


def declared(*names, policy=None, **arguments):
    leader = Leader(*names, policy=policy)
    leader.declare(arguments={**QUORUM, **arguments})
    return leader


def test_three_copies_of_five_unless_it_says_otherwise():
    leader = declared("n1", "n2", "n3", "n4", "n5")
    record = leader.queue()
    assert (record.master.node, len(record.mirrors), len(record.in_sync)) == ("n1", 2, 3)
    assert record.definition is None, "no policy: nothing to show"
    assert record.is_mirrored


def test_a_group_of_the_size_it_asks_for_and_at_most_all():
    assert declared("n1", "n2", **{"x-quorum-initial-group-size": 1}).shown() == "n1*"
    long = {"$": "Long", "value": 2}
    assert declared("n1", "n2", "n3", **{"x-quorum-initial-group-size": long}).shown().count("*") == 2
    assert declared("n1", "n2", **{"x-quorum-initial-group-size": 9}).shown() == "n1* n2*"


def test_a_policy_with_keys_of_mirroring_does_not_count_for_it():
    policy = exactly(1, **{"ha-promote-on-failure": "always", "max-length": 5})
    leader = declared("n1", "n2", "n3", policy=policy)
    assert len(leader.queue().mirrors) == 2
    assert (leader.queue().policy, leader.queue().definition) == (None, None)
    leader.policy({"max-length": 5}, name="weaker", priority=-1)
    assert (leader.queue().policy, leader.queue().definition) == ("weaker", {"max-length": 5})
    leader.policy(ALL)
    assert len(leader.queue().mirrors) == 2
    leader.clear()
    assert len(leader.queue().mirrors) == 2


def test_a_node_that_dies_is_replaced_and_a_new_node_fills_a_small_group():
    leader = declared("n1", "n2", "n3", "n4", **{"x-quorum-initial-group-size": 3})
    third = next(life.node for life in leader.queue().mirrors)
    leader.kill(third)
    nodes = {life.node for life in leader.queue().mirrors}
    assert len(nodes) == 2
    assert third not in nodes
    small = declared("n1", "n2")
    small.ask("add_member", node="n3")
    small.start("n3")
    assert small.shown() == "n1* n2* n3"


def test_only_a_synchronised_copy_is_promoted_even_if_a_policy_would_allow_another():
    leader = declared("n1", "n2", policy={"ha-mode": "all", "ha-promote-on-failure": "always"})
    leader.kill("n2")
    leader.start("n2")
    assert leader.shown() == "n1* n2"
    leader.kill("n1")
    reason = "no synchronised mirror and this is a quorum queue; waiting for n1"
    assert leader.shown() == f"n1* n2 unavailable: {reason}"
    leader.start("n1")
    assert leader.shown() == "n1* n2"
    leader.enter("n2")
    leader.kill("n1")
    assert leader.shown() == "n2*"


def test_its_master_goes_where_the_leader_locator_says():
    leader = Leader("n1", "n2")
    leader.declare(name="first")
    leader.declare(name="near", arguments=QUORUM)
    assert leader.queue("near").master.node == "n1"
    leader.declare(name="far", arguments={**QUORUM, "x-queue-leader-locator": "balanced"})
    assert leader.queue("far").master.node == "n2"
    leader.policy({"queue-leader-locator": "balanced"})
    leader.declare(name="third", arguments=QUORUM)
    assert leader.queue("third").master.node == "n2"
