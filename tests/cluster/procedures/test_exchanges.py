"""Exchanges and bindings, with RabbitMQ's texts."""

import pytest

from broker.cluster import schema
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import Leader


@pytest.fixture
def leader():
    leader = Leader("n1")
    leader.declare()
    leader.ask("declare_exchange", vhost="/", name="x", kind="direct", durable=True)
    return leader


def refusal(leader, do, **facts):
    with pytest.raises(Refused) as caught:
        leader.ask(do, vhost="/", **facts)
    return caught.value.code, caught.value.why


def to_queue(source="x", key="k", **facts):
    return {"source": source, "destination_kind": "queue", "destination": "q", "key": key, **facts}


def test_the_same_again_and_another(leader):
    same = {"name": "x", "kind": "direct", "durable": True}
    assert leader.ask("declare_exchange", vhost="/", **same) == {"created": False}
    assert refusal(leader, "declare_exchange", **{**same, "kind": "fanout"}) == (
        "inequivalent",
        "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'",
    )
    for facts in ({"durable": False}, {"internal": True}, {"arguments": {"alternate-exchange": "y"}}):
        assert refusal(leader, "declare_exchange", **{**same, **facts})[0] == "inequivalent"


def test_bindings_are_what_they_say(leader):
    assert leader.ask("bind", vhost="/", **to_queue()) == {"created": True}
    assert leader.ask("bind", vhost="/", **to_queue()) == {"created": False}
    assert leader.ask("bind", vhost="/", **to_queue(arguments={"a": 1})) == {"created": True}
    assert leader.ask("bind", vhost="/", **to_queue(key="")) == {"created": True}
    assert len(schema.bindings(leader.tree, "/")) == 3
    assert leader.ask("unbind", vhost="/", **to_queue()) == {"deleted": True}
    assert leader.ask("unbind", vhost="/", **to_queue()) == {"deleted": False}
    assert len(schema.bindings(leader.tree, "/")) == 2


def test_both_ends_must_be_there(leader):
    assert refusal(leader, "bind", **to_queue("y")) == ("not_found", "no exchange 'y' in vhost '/'")
    assert refusal(leader, "bind", **{**to_queue(), "destination": "z"}) == ("not_found", "no queue 'z' in vhost '/'")
    assert (
        refusal(leader, "bind", **{**to_queue(), "destination_kind": "exchange"})[1] == "no exchange 'q' in vhost '/'"
    )
    assert refusal(leader, "bind", **{**to_queue(), "destination_kind": "letterbox"})[0] == "invalid"


def test_the_last_unbind_removes_an_auto_delete_exchange(leader):
    leader.ask("declare_exchange", vhost="/", name="passing", kind="fanout", auto_delete=True)
    leader.ask("bind", vhost="/", **to_queue("passing", "1"))
    leader.ask("bind", vhost="/", **to_queue("passing", "2"))
    leader.ask("unbind", vhost="/", **to_queue("passing", "1"))
    assert schema.exchange(leader.tree, "/", "passing") is not None
    leader.ask("unbind", vhost="/", **to_queue("passing", "2"))
    assert schema.exchange(leader.tree, "/", "passing") is None


def test_deletion_and_if_unused(leader):
    leader.ask("declare_exchange", vhost="/", name="y", kind="fanout")
    leader.ask("bind", vhost="/", source="x", destination_kind="exchange", destination="y")
    assert refusal(leader, "delete_exchange", name="x", if_unused=True) == (
        "in_use",
        "exchange 'x' in vhost '/' in use",
    )
    assert leader.ask("delete_exchange", vhost="/", name="y", if_unused=True) == {"deleted": True}
    assert schema.bindings(leader.tree, "/") == []
    leader.ask("bind", vhost="/", **to_queue())
    assert leader.ask("delete_exchange", vhost="/", name="x") == {"deleted": True}
    assert leader.ask("delete_exchange", vhost="/", name="x") == {"deleted": False}
    assert schema.bindings(leader.tree, "/") == []


def test_an_exchange_bound_to_itself_goes_once(leader):
    leader.ask("declare_exchange", vhost="/", name="ring", kind="fanout", auto_delete=True)
    leader.ask("bind", vhost="/", source="ring", destination_kind="exchange", destination="ring")
    assert leader.ask("delete_exchange", vhost="/", name="ring") == {"deleted": True}
    assert schema.bindings(leader.tree, "/") == []
