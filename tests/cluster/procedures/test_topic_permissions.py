"""Topic permissions: which routing keys a user may use at which exchange."""

import pytest

from broker.cluster import schema
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import Leader

KEYS = {"write": "^a", "read": "^b"}


@pytest.fixture
def leader():
    leader = Leader("n1")
    leader.ask("put_user", name="tom", password="x")
    return leader


def put(leader, exchange, user="tom", vhost="/", **keys):
    return leader.ask("put_topic_permission", user=user, vhost=vhost, exchange=exchange, **(KEYS | keys))


def exchanges(leader):
    return [record.exchange for record in schema.topic_permissions(leader.tree, "/")]


def test_they_are_set_and_cleared_by_exchange_or_all_at_once(leader):
    assert put(leader, "amq.topic") == {"created": True}
    assert put(leader, "amq.topic", read="^c") == {"created": False}
    assert schema.topic_permission(leader.tree, "/", "tom", "amq.topic").read == "^c"
    put(leader, "one")
    put(leader, "two")
    assert leader.ask("clear_topic_permission", user="tom", vhost="/", exchange="one") == {"deleted": 1}
    assert leader.ask("clear_topic_permission", user="tom", vhost="/", exchange="one") == {"deleted": 0}
    assert exchanges(leader) == ["amq.topic", "two"]
    assert leader.ask("clear_topic_permission", user="tom", vhost="/") == {"deleted": 2}
    assert exchanges(leader) == []


def test_they_go_with_their_user(leader):
    put(leader, "amq.topic")
    leader.ask("delete_user", name="tom")
    assert exchanges(leader) == []


@pytest.mark.parametrize(
    ("changed", "code", "why"),
    [
        ({"user": "nobody"}, "no_user", "user 'nobody' not found"),
        ({"vhost": "v"}, "not_found", "vhost 'v' not found"),
        ({"write": "*"}, "invalid", "{:invalid_regexp, \"*\", {'nothing to repeat', 0}}"),
    ],
)
def test_refusals(leader, changed, code, why):
    with pytest.raises(Refused) as caught:
        put(leader, "amq.topic", **changed)
    assert (caught.value.code, caught.value.why) == (code, why)


def test_a_vhost_of_an_earlier_version_gets_the_folder_when_it_needs_it(leader):
    def earlier():
        leader.ask("put_vhost", name="v")
        leader.zxid += 1
        with leader.overlay.transaction(leader.zxid) as operations:
            leader.overlay.delete(schema.vhost_path("v", "topic_permissions"))
        for tree in (leader.tree, leader.other):
            tree.apply(leader.zxid, operations)

    earlier()
    assert leader.ask("clear_topic_permission", user="tom", vhost="v") == {"deleted": 0}
    leader.ask("delete_vhost", name="v")
    earlier()
    assert put(leader, "amq.topic", vhost="v") == {"created": True}
    assert len(schema.topic_permissions(leader.tree, "v")) == 1
