"""Queues declared and deleted, with RabbitMQ's texts."""

import pytest

from broker.cluster import schema
from broker.cluster.records import Life, Owner
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import ALL, Leader


@pytest.fixture
def leader():
    return Leader("n1", "n2")


def refusal(leader, *arguments, **facts):
    with pytest.raises(Refused) as caught:
        leader.declare(*arguments, **facts)
    return caught.value


def test_a_new_queue_and_the_same_again(leader):
    answer = leader.declare(arguments={"x-max-length": 5})
    assert answer == {"created": True, "id": leader.zxid, "master": Life("n1", 1), "state": "running"}
    record = leader.queue()
    assert (record.durable, record.arguments, record.id, record.term) == (
        True,
        {"x-max-length": 5},
        leader.zxid,
        leader.zxid,
    )
    again = leader.declare(node="n2", arguments={"x-max-length": 5, "x-unknown": 1})
    assert again == {**answer, "created": False}
    assert leader.queue() == record


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (
            {},
            {"durable": False},
            "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'",
        ),
        (
            {},
            {"auto_delete": True},
            "inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            {"arguments": {"x-max-length": 5}},
            {"arguments": {"x-max-length": 6}},
            "inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '6' but current is '5'",
        ),
        (
            {"arguments": {"x-message-ttl": 5}},
            {},
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '5' "
            "of type 'signedint'",
        ),
        (
            {},
            {"arguments": {"x-overflow": "reject-publish"}},
            "inequivalent arg 'x-overflow' for queue 'q' in vhost '/': received the value 'reject-publish' of type "
            "'longstr' but current is none",
        ),
    ],
)
def test_another_declaration_is_refused(leader, first, second, text):
    leader.declare(**first)
    refused = refusal(leader, **second)
    assert (refused.code, refused.why) == ("inequivalent", text)


def test_exclusive_queues_belong_to_one_connection(leader):
    leader.declare("e", exclusive=True, connection="c1", durable=True)
    record = leader.queue("e")
    assert record.exclusive == Owner("n1", 1, "c1")
    assert not record.durable
    assert not leader.declare("e", exclusive=True, connection="c1", durable=True)["created"]
    for facts in (
        {"exclusive": True, "connection": "c2"},
        {"exclusive": True, "connection": "c1", "node": "n2"},
        {"connection": "c1"},
    ):
        assert refusal(leader, "e", **facts).code == "locked"
    leader.declare()
    assert refusal(leader, exclusive=True, connection="c1").why == (
        "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on another "
        "connection or the exclusive property value does not match that of the original declaration."
    )


def test_the_queues_of_a_connection_go_at_once(leader):
    for name, connection in (("a", "c1"), ("b", "c1"), ("c", "c2")):
        leader.declare(name, exclusive=True, connection=connection)
    assert leader.ask("release_connection", node="n1", life=1, connection="c1") == {"deleted": 2}
    assert [leader.shown(name) for name in "abc"] == ["gone", "gone", "n1*"]


def test_a_life_that_is_over_declares_nothing(leader):
    leader.start("n1")
    with pytest.raises(Refused) as caught:
        leader.ask("declare_queue", vhost="/", name="q", node="n1", life=1)
    assert caught.value.code == "stale"


def test_no_vhost(leader):
    with pytest.raises(Refused) as caught:
        leader.ask("declare_queue", vhost="nowhere", name="q", node="n1", life=1)
    assert (caught.value.code, caught.value.why) == ("not_found", "vhost 'nowhere' not found")


def test_what_a_master_of_the_past_found_unused_stays(leader):
    leader.declare()
    queue = schema.queue(leader.tree, "/", "q")
    condition = {"vhost": "/", "name": "q", "id": queue.id}
    assert leader.ask("delete_queue", **condition, term=queue.term - 1) == {"deleted": False}
    assert leader.ask("delete_queue", **condition, term=queue.term) == {"deleted": True}


def test_deletion_takes_bindings_and_auto_delete_exchanges_along(leader):
    leader.declare()
    leader.declare("other")
    for exchange, auto_delete in (("once", True), ("twice", True), ("stays", False), ("first", True)):
        leader.ask("declare_exchange", vhost="/", name=exchange, kind="topic", auto_delete=auto_delete)
    for source, kind, destination in (
        ("once", "queue", "q"),
        ("twice", "queue", "q"),
        ("twice", "queue", "other"),
        ("stays", "queue", "q"),
        ("first", "exchange", "once"),
    ):
        leader.ask("bind", vhost="/", source=source, destination_kind=kind, destination=destination, key="#")
    assert leader.ask("delete_queue", vhost="/", name="q") == {"deleted": True}
    names = [exchange.name for exchange in schema.exchanges(leader.tree, "/") if not exchange.name.startswith("amq.")]
    assert names == ["", "stays", "twice"], "once lost its last binding, and then first did"
    assert [(one.source, one.destination) for one in schema.bindings(leader.tree, "/")] == [("twice", "other")]


def test_deletion_may_name_the_id_and_is_repeatable(leader):
    leader.declare()
    assert leader.ask("delete_queue", vhost="/", name="q", id=5) == {"deleted": False}
    assert leader.ask("delete_queue", vhost="/", name="q", id=leader.queue().id) == {"deleted": True}
    assert leader.ask("delete_queue", vhost="/", name="q") == {"deleted": False}


def test_names_of_any_kind(leader):
    names = ["a/b", "", ".", "..", "%", "ä\udcff", "x" * 255, "a b", "\u0085"]
    for name in names:
        leader.declare(name)
    assert sorted(record.name for record in schema.queues(leader.tree, "/")) == sorted(names)
    for name in names:
        assert leader.queue(name).name == name


def test_scenario_22_a_queue_that_waits_can_be_deleted_and_declared_again():
    leader = Leader("n1", "n2")
    leader.declare()
    leader.kill("n1")
    answer = leader.declare(node="n2")
    assert (answer["created"], answer["state"]) == (False, "waiting")
    leader.ask("delete_queue", vhost="/", name="q")
    assert leader.declare(node="n2")["master"] == Life("n2", 1)


def test_copies_go_only_to_nodes_in_contact():
    leader = Leader("n1", "n2", "n3", policy=ALL)
    leader.declare(contact={"n1": 1, "n3": 1})
    assert leader.shown() == "n1* n3*"


def test_a_pause_is_told_once_and_kept_through_a_change_of_master(leader):
    leader.declare()
    ask = {"do": "pause_queue", "vhost": "/", "name": "q"}
    assert leader.ask(**ask, paused=True) == {"changed": True}
    assert leader.ask(**ask, paused=True) == {"changed": False}
    assert [(event["queue"], event["change"]) for event in leader.told("pause")] == [("q", "paused")]
    leader.kill("n1")
    record = schema.queue(leader.tree, "/", "q")
    assert record.paused
    assert leader.ask(**ask, paused=False) == {"changed": True}
    assert schema.queue(leader.tree, "/", "q").version == record.version + 1
    with pytest.raises(Refused, match="no queue 'other'"):
        leader.ask(**ask | {"name": "other"}, paused=True)


def test_that_a_queue_has_been_used_is_noted_once(leader):
    leader.declare()
    queue = schema.queue(leader.tree, "/", "q")
    for _ in range(2):
        leader.ask("note_use", id=queue.id)
        noted = schema.queue(leader.tree, "/", "q")
        assert (noted.used, noted.version) == (True, queue.version + 1)
