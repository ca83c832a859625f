"""Policies at work on the tree: scenarios 1-8 of mirroring section 18, and what a change re-evaluates."""

import pytest

from broker.cluster import schema
from broker.cluster.records import Life
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import ALL, Leader, exactly, nodes


@pytest.fixture
def three():
    return Leader("n1", "n2", "n3")


def test_scenario_01_a_policy_is_set_changed_and_cleared(three):
    three.declare()
    assert three.shown() == "n1*"
    assert not three.queue().is_mirrored
    three.policy(ALL)
    assert three.shown() == "n1* n2 n3"
    three.policy(nodes("n1", "n2"))
    assert three.shown() == "n1* n2"
    three.policy(nodes("n1", "n3"))
    assert three.shown() == "n1* n3"
    three.clear()
    assert three.shown() == "n1*"
    assert not three.queue().is_mirrored
    assert three.queue().candidates == ()
    three.policy(nodes("n2", "n3"))
    assert three.shown() == "n1* n2 n3"
    three.enter("n3")
    assert three.shown() == "n3* n2"


def test_scenario_02_exactly_refills_and_grows(three):
    three.policy(exactly(2))
    three.declare()
    (mirror,) = three.queue().mirrors
    three.kill(mirror.node)
    (other,) = three.queue().mirrors
    assert {mirror.node, other.node} == {"n2", "n3"}
    three.start(mirror.node)
    three.policy(exactly(4))
    assert len(three.queue().mirrors) == 2
    for node in ("n4", "n5"):
        three.ask("add_member", node=node)
        three.start(node)
    assert {life.node for life in three.queue().mirrors} == {"n2", "n3", "n4"}, "the first that came completes it"


def test_scenario_03_exactly_one_is_mirrored_with_no_mirror(three):
    three.policy(exactly(1))
    three.declare()
    assert three.shown() == "n1*"
    assert three.queue().is_mirrored
    three.stop("n1")
    assert three.shown() == "n1* waiting: waiting for n1"


def test_scenario_04_copies_of_a_new_queue_are_synchronised(three):
    three.policy(ALL)
    three.declare(node="n2")
    assert three.shown() == "n2* n1* n3*"


def test_scenario_05_operator_policy_priority_and_fall_back(three):
    three.declare()
    three.policy({"max-length": 10, "message-ttl": 5}, name="low", priority=1)
    three.policy({"max-length": 20}, name="high", priority=2)
    three.policy({"max-length": 15, "expires": 9}, name="op", operator=True)
    record = three.queue()
    assert (record.policy, record.operator_policy) == ("high", "op")
    assert record.definition == {"max-length": 15, "expires": 9}
    three.clear("high")
    assert three.queue().definition == {"max-length": 10, "message-ttl": 5, "expires": 9}
    three.clear("op", operator=True)
    three.clear("low")
    record = three.queue()
    assert (record.policy, record.operator_policy, record.definition) == (None, None, None)


def test_scenario_06_where_the_first_master_goes(three):
    three.declare("a")
    three.declare("b", node="n2")
    three.declare("c", arguments={"x-queue-master-locator": "min-masters"})
    assert three.queue("c").master.node == "n3"
    three.declare("d", locator="min-masters", arguments={"x-queue-master-locator": "nonsense"})
    assert three.queue("d").master.node == "n1"
    three.policy({"queue-master-locator": "client-local"})
    three.declare("e", node="n3", locator="min-masters")
    assert three.queue("e").master.node == "n3", "the policy goes before the configuration"
    three.policy({"queue-master-locator": "min-masters", **nodes("n2", "n3")})
    three.declare("f")
    assert three.shown("f") == "n2* n3*"
    chosen = set()
    for number in range(20):
        three.declare(f"r{number}", arguments={"x-queue-master-locator": "random"})
        chosen.add(three.queue(f"r{number}").master.node)
    assert chosen == {"n2", "n3"}


def test_scenario_07_the_master_stays_until_one_wanted_mirror_is_synchronised(three):
    three.declare()
    three.policy(nodes("n2", "n3"))
    assert three.shown() == "n1* n2 n3"
    before = three.queue()
    three.enter("n3")
    assert three.shown() == "n3* n2"
    assert three.queue().term > before.term
    (event,) = three.told("promotion")
    assert (event["from"], event["to"], event["cause"], event["lossy"]) == ("n1", "n3", "synchronised", False)


def test_a_new_queue_starts_where_the_policy_wants_it(three):
    three.policy(nodes("rabbit@n2", "n3"))
    three.declare(node="n1")
    assert three.shown() == "n2* n3*"
    assert three.queue().term_count == 1


def test_nodes_that_do_not_run_are_awaited(three):
    three.kill("n3")
    three.policy(nodes("n3", "n4"))
    three.declare()
    assert three.shown() == "n1*"
    three.start("n3")
    assert three.shown() == "n1* n3"
    three.enter("n3")
    assert three.shown() == "n3*"


def test_scenario_08_exclusive_queues_are_never_mirrored_and_the_last_policy_counts(three):
    three.policy(ALL)
    three.declare("e", exclusive=True, connection="c")
    assert three.shown("e") == "n1*"
    assert three.queue("e").policy == "p"
    assert not three.queue("e").is_mirrored
    three.declare()
    for definition in (ALL, exactly(1), nodes("n1", "n3"), exactly(2)):
        three.policy(definition)
        three.clear()
        three.policy(definition)
    assert three.shown() == "n1* n3" or three.shown() == "n1* n2"


def test_only_the_queues_of_the_vhost_that_match_are_touched(three):
    three.ask("put_vhost", name="other")
    three.declare("orders.1")
    three.declare("letters")
    three.ask("declare_queue", vhost="other", name="orders.1", node="n1", life=1)
    three.policy(ALL, pattern="^orders")
    assert three.shown("orders.1") == "n1* n2 n3"
    assert three.queue("letters").version == 0
    assert schema.queue(three.tree, "other", "orders.1").version == 0
    version = three.queue("orders.1").version
    three.policy(ALL, pattern="^orders")
    assert three.queue("orders.1").version == version, "the same policy again changes nothing"


def test_exchanges_have_policies_too(three):
    three.ask("declare_exchange", vhost="/", name="x", kind="topic")
    three.policy({"dead-letter-exchange": "y"}, **{"apply-to": "exchanges"}, pattern="^x$")
    record = schema.exchange(three.tree, "/", "x")
    assert (record.policy, record.definition) == ("p", {"dead-letter-exchange": "y"})
    three.ask("declare_exchange", vhost="/", name="xx", kind="topic")
    assert schema.exchange(three.tree, "/", "xx").policy is None


def test_a_waiting_queue_takes_its_new_policy_when_it_is_back():
    leader = Leader("n1", "n2", "n3", policy=exactly(1))
    leader.declare()
    leader.kill("n1")
    leader.policy(ALL)
    assert leader.shown() == "n1* waiting: waiting for n1"
    leader.start("n1")
    assert leader.shown() == "n1* n2 n3"
    assert leader.queue().master == Life("n1", 2)


def test_refused_policies_change_nothing(three):
    for wrong in (
        {"name": "p", "pattern": "(", "definition": ALL},
        {"name": "p", "pattern": "", "definition": {}},
        {"name": "p", "pattern": "", "definition": {"ha-sync-mode": "automatic"}},
        {"pattern": "", "definition": ALL},
    ):
        with pytest.raises(Refused) as caught:
            three.ask("put_policy", vhost="/", **wrong)
        assert caught.value.code == "invalid"
    with pytest.raises(Refused, match="not recognised"):
        three.policy({"ha-mode": "all", "ha-promote-on-failure": "always"}, operator=True)
    for do, wrong in (("put_policy", {"pattern": "", "definition": ALL, "vhost": "nowhere"}), ("clear_policy", {})):
        with pytest.raises(Refused) as caught:
            three.ask(do, name="p", **{"vhost": "/", **wrong})
        assert caught.value.code == "not_found"
