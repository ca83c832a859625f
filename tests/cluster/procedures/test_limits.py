"""Limits of users and virtual hosts."""

import pytest

from broker.cluster import schema
from broker.cluster.records import VhostRecord
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import Leader, refused


@pytest.fixture
def leader():
    leader = Leader("n1")
    leader.ask("put_user", name="tom", password="x", tags=["management"])
    return leader


def limits_of_vhost(leader, name="/"):
    return schema.read(leader.tree, VhostRecord, schema.vhost_path(name)).limits


def test_limits_of_a_user_are_added_and_cleared_one_by_one(leader):
    leader.ask("set_user_limits", user="tom", limits={"max-connections": 10})
    leader.ask("set_user_limits", user="tom", limits={"max-channels": 5})
    before = schema.user(leader.tree, "tom")
    assert before.limits == {"max-connections": 10, "max-channels": 5}
    leader.ask("change_user", name="tom", tags=[])
    leader.ask("put_user", name="tom", password="y")
    assert schema.user(leader.tree, "tom").limits == before.limits
    leader.ask("clear_user_limits", user="tom", limit="max-connections")
    leader.ask("clear_user_limits", user="tom", limit="max-bogus")
    assert schema.user(leader.tree, "tom").limits == {"max-channels": 5}
    leader.ask("clear_user_limits", user="tom")
    assert schema.user(leader.tree, "tom").limits == {}


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"max-connections": "x"}, 'max-connections should be a number, actually was <<"x">>'),
        ({"max-channels": True}, "max-channels should be a number, actually was true"),
        ({"max-bogus": 1}, 'Unrecognised terms [{<<"max-bogus">>,1}] in user-limits'),
    ],
)
def test_wrong_limits_of_a_user(leader, limits, text):
    assert refused(leader, "set_user_limits", user="tom", limits=limits) == ("invalid", text)
    assert refused(leader, "put_user", name="new", limits=limits) == ("invalid", text)


def test_limits_of_a_vhost_replace_those_before(leader):
    leader.ask("set_vhost_limits", vhost="/", limits={"max-connections": 10, "max-queues": 5})
    leader.ask("set_vhost_limits", vhost="/", limits={"max-connections": -1})
    assert limits_of_vhost(leader) == {"max-connections": -1}
    leader.ask("put_vhost", name="/", description="kept limits")
    assert limits_of_vhost(leader) == {"max-connections": -1}
    leader.ask("clear_vhost_limits", vhost="/")
    assert limits_of_vhost(leader) == {}
    nothing = ("not_found", "Parameter does not exist")
    assert refused(leader, "clear_vhost_limits", vhost="/") == nothing
    assert refused(leader, "clear_vhost_limits", vhost="v") == nothing
    text = 'Unrecognised terms [{<<"max-channels">>,1}] in limits'
    assert refused(leader, "set_vhost_limits", vhost="/", limits={"max-channels": 1}) == ("invalid", text)


def test_the_limit_of_queues_counts_every_queue_and_every_deletion(leader):
    def declare(name, **facts):
        return leader.ask("declare_queue", vhost="/", name=name, node="n1", life=1, **facts)

    leader.ask("set_vhost_limits", vhost="/", limits={"max-queues": 1})
    declare("a", exclusive=True, connection="c")
    declare("a", exclusive=True, connection="c")
    text = "cannot declare queue 'b': queue limit in vhost '/' (1) is reached"
    for exclusive in (False, True):
        with pytest.raises(Refused) as caught:
            declare("b", exclusive=exclusive, connection="c")
        assert (caught.value.code, caught.value.why) == ("full", text)
    leader.ask("release_connection", node="n1", life=1, connection="c")
    assert declare("b")["created"]
    leader.ask("set_vhost_limits", vhost="/", limits={"max-queues": 0})
    assert not declare("b")["created"]
    leader.ask("delete_queue", vhost="/", name="b")
    with pytest.raises(Refused):
        declare("b")
    leader.ask("set_vhost_limits", vhost="/", limits={"max-queues": -1})
    assert declare("b")["created"]
