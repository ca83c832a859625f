"""Exchanges and bindings, with RabbitMQ's texts."""

import pytest

from broker.cluster import schema
from tests.cluster.procedures.leader import Leader, refused


@pytest.fixture
def leader():
    leader = Leader("n1")
    leader.declare()
    leader.ask("declare_exchange", vhost="/", name="x", kind="direct", durable=True)
    return leader


def refusal(leader, do, **facts):
    return refused(leader, do, vhost="/", **facts)


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


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"durable": False}, "arg 'durable' for exchange 'x' in vhost '/': received 'false' but current is 'true'"),
        (
            {"auto_delete": True},
            "arg 'auto_delete' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
        ),
        ({"internal": True}, "arg 'internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'"),
        (
            {"arguments": {"alternate-exchange": "y"}},
            "arg 'alternate-exchange' for exchange 'x' in vhost '/': "
            "received the value 'y' of type 'longstr' but current is none",
        ),
    ],
)
def test_what_differs_is_told(leader, facts, text):
    same = {"name": "x", "kind": "direct", "durable": True}
    assert refusal(leader, "declare_exchange", **{**same, **facts}) == ("inequivalent", f"inequivalent {text}")
    assert leader.ask("declare_exchange", vhost="/", **same, arguments={"other": 1}) == {"created": False}


def exists(leader, name):
    return schema.exchange(leader.tree, "/", name) is not None


def test_auto_delete_exchanges_go_one_after_the_other(leader):
    """Each is bound to the next; only bindings from an exchange keep it."""
    for name in ("first", "second"):
        leader.ask("declare_exchange", vhost="/", name=name, kind="fanout", auto_delete=True)
    to_second = {"source": "first", "destination_kind": "exchange", "destination": "second"}
    leader.ask("bind", vhost="/", **to_second)
    leader.ask("unbind", vhost="/", **to_second)
    assert (exists(leader, "first"), exists(leader, "second")) == (False, True)
    leader.ask("declare_exchange", vhost="/", name="first", kind="fanout", auto_delete=True)
    leader.ask("bind", vhost="/", **to_second)
    leader.ask("bind", vhost="/", **to_queue("second"))
    leader.ask("unbind", vhost="/", **to_queue("second"))
    assert (exists(leader, "first"), exists(leader, "second")) == (False, False)
    assert schema.bindings(leader.tree, "/") == []


def test_an_auto_delete_exchange_goes_with_the_exchange_or_queue_that_it_led_to(leader):
    leader.ask("declare_exchange", vhost="/", name="end", kind="fanout")
    for kind, name in (("exchange", "end"), ("queue", "q")):
        leader.ask("declare_exchange", vhost="/", name="passing", kind="fanout", auto_delete=True)
        leader.ask("bind", vhost="/", source="passing", destination_kind=kind, destination=name)
        leader.ask(f"delete_{kind}", vhost="/", name=name)
        assert not exists(leader, "passing")


def test_exchanges_bound_in_a_circle_can_be_deleted(leader):
    leader.ask("declare_exchange", vhost="/", name="y", kind="direct", auto_delete=True)
    for source, destination in (("x", "y"), ("y", "x"), ("x", "x")):
        leader.ask("bind", vhost="/", source=source, destination_kind="exchange", destination=destination)
    leader.ask("delete_exchange", vhost="/", name="x")
    assert (exists(leader, "x"), exists(leader, "y"), schema.bindings(leader.tree, "/")) == (False, False, [])
