"""The queue behind a delayed exchange: it comes and goes with it, and is placed as a queue of the exchange's name."""

import pytest

from broker.cluster import schema
from broker.cluster.records import UNAVAILABLE, WAITING
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import ALL, Leader, nodes

LATE = {"vhost": "/", "name": "late", "kind": "x-delayed-message", "arguments": {"x-delayed-type": "direct"}}


def hidden(leader):
    return schema.queue(leader.tree, "/", "amq.delayed.late")


def declare(leader, node="n2", **facts):
    return leader.ask("declare_exchange", **{**LATE, "node": node, "life": leader.life(node), **facts})


def test_it_comes_and_goes_with_the_exchange():
    leader = Leader("n1", "n2", "n3")
    assert declare(leader) == {"created": True}
    record = hidden(leader)
    assert (record.delays, record.durable, record.master.node, record.mirrors) == ("late", True, "n2", ())
    assert schema.queues(leader.tree, "/") == []
    assert schema.all_queues(leader.tree, "/") == [record]
    assert declare(leader, "n3") == {"created": False}
    assert hidden(leader) == record
    leader.ask("delete_exchange", vhost="/", name="late")
    assert hidden(leader) is None


def test_it_goes_when_the_last_binding_of_an_auto_delete_exchange_goes():
    leader = Leader("n1")
    leader.declare()
    declare(leader, "n1", auto_delete=True)
    binding = {"vhost": "/", "source": "late", "destination_kind": "queue", "destination": "q", "key": "k"}
    leader.ask("bind", **binding)
    leader.ask("delete_queue", vhost="/", name="q")
    assert schema.all_queues(leader.tree, "/") == []


def test_other_exchanges_have_none():
    leader = Leader("n1")
    leader.ask("declare_exchange", vhost="/", name="late", kind="direct")
    assert hidden(leader) is None


def test_the_ha_keys_of_queues_of_that_name_place_it_and_nothing_else_applies():
    leader = Leader("n1", "n2", "n3", policy={**ALL, "message-ttl": 5, "ha-sync-mode": "automatic"})
    declare(leader)
    record = hidden(leader)
    assert {life.node for life in record.in_sync} == {"n1", "n2", "n3"}
    assert (record.policy, record.definition) == ("p", {**ALL, "ha-sync-mode": "automatic"})
    leader.policy(nodes("n2"), name="mine", pattern="^late$", priority=1)
    assert [life.node for life in hidden(leader).in_sync] == ["n2"]
    assert hidden(leader).policy == "mine"
    leader.policy(nodes("n1", "n2"), name="hidden", pattern="amq.delayed", priority=2)
    assert hidden(leader).policy == "mine"


def test_a_definition_that_comes_from_no_node_is_placed_on_any():
    leader = Leader("n1", "n2")
    leader.ask("declare_exchange", **LATE)
    assert hidden(leader).master.node in ("n1", "n2")


def test_a_node_that_is_over_declares_nothing():
    leader = Leader("n1", "n2")
    leader.kill("n2")
    with pytest.raises(Refused, match="life 1 of n2 is over"):
        leader.ask("declare_exchange", **LATE, node="n2", life=1)


def test_without_a_mirror_its_messages_wait_for_their_node_and_the_exchange_stays():
    leader = Leader("n1", "n2")
    declare(leader)
    leader.kill("n2")
    assert hidden(leader).state in (WAITING, UNAVAILABLE)
    assert declare(leader, "n1") == {"created": False}
    leader.start("n2")
    assert (hidden(leader).state, hidden(leader).master.node) == ("running", "n2")


def test_a_transient_exchange_takes_it_along_when_the_last_node_ends():
    leader = Leader("n1", "n2")
    declare(leader)
    leader.kill("n2")
    leader.kill("n1")
    leader.start("n1")
    assert schema.exchange(leader.tree, "/", "late") is None
    assert hidden(leader) is None


def test_lost_with_its_node_it_is_made_anew_by_the_next_declaration():
    leader = Leader("n1", "n2", "n3")
    declare(leader, durable=True)
    first = hidden(leader)
    leader.ask("delete_queue", vhost="/", name="amq.delayed.late")  # as an operator may, who gives up the node
    assert declare(leader, "n1", durable=True) == {"created": False}
    assert hidden(leader).id > first.id
    assert hidden(leader).master.node == "n1"


def test_nobody_else_may_have_such_a_name_and_it_takes_nobodys_room():
    leader = Leader("n1")
    leader.ask("set_vhost_limits", vhost="/", limits={"max-queues": 1})
    declare(leader, "n1")
    for name in ("amq.delayed.late", "amq.delayed.other"):
        with pytest.raises(Refused, match=f"^queue name '{name}' contains reserved prefix 'amq.\\*'$"):
            leader.declare(name)
    assert leader.declare()["created"]
    with pytest.raises(Refused, match=r"queue limit in vhost '/' .1. is reached"):
        leader.declare("another")


def test_it_goes_with_its_vhost():
    leader = Leader("n1")
    leader.ask("put_vhost", name="other")
    declare(leader, "n1", vhost="other")
    leader.ask("delete_vhost", name="other")
    assert leader.tree.find(schema.copies_key("n1")) == []


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({"kind": "nosuch"}, ("unknown_kind", "unknown exchange type 'nosuch'")),
        ({"arguments": {"x-delayed-type": "nosuch"}}, ("unknown_kind", "unknown exchange type 'nosuch'")),
        (
            {"arguments": {}},
            ("invalid", "Invalid argument, 'x-delayed-type' must be an existing exchange type"),
        ),
        (
            {"kind": "x-consistent-hash", "arguments": {"hash-property": "app_id"}},
            ("invalid", "Unsupported property: app_id"),
        ),
    ],
)
def test_no_door_lets_an_exchange_in_that_cannot_be(facts, refusal):
    leader = Leader("n1")
    with pytest.raises(Refused) as caught:
        declare(leader, "n1", **facts)
    assert (caught.value.code, caught.value.why) == refusal


def test_nor_a_binding_that_its_kind_cannot_work_with():
    leader = Leader("n1")
    leader.declare()
    for name, kind in (("hash", "x-consistent-hash"), ("headers", "headers")):
        leader.ask("declare_exchange", vhost="/", name=name, kind=kind)
    declare(leader, "n1", arguments={"x-delayed-type": "x-consistent-hash"})
    to_q = {"vhost": "/", "destination_kind": "queue", "destination": "q"}
    for source, why in (
        ("hash", 'The binding key must be an integer: <<"k">>'),
        ("late", 'The binding key must be an integer: <<"k">>'),
        ("headers", 'Invalid x-match field value <<"k">>; expected all, any, all-with-x, or any-with-x'),
    ):
        with pytest.raises(Refused) as caught:
            leader.ask("bind", **to_q, source=source, key="k", arguments={"x-match": "k"})
        assert (caught.value.code, caught.value.why) == ("invalid", why)
    assert schema.bindings(leader.tree, "/") == []


def test_an_equal_kind_is_told_as_erlang_prints_it():
    leader = Leader("n1")
    leader.ask("declare_exchange", vhost="/", name="r", kind="x-random")
    with pytest.raises(Refused) as caught:
        leader.ask("declare_exchange", vhost="/", name="r", kind="direct")
    why = "inequivalent arg 'type' for exchange 'r' in vhost '/': received 'direct' but current is ''x-random''"
    assert caught.value.why == why
