"""Virtual hosts, users and permissions."""

from base64 import b64encode
from hashlib import new

import pytest

from broker.cluster import schema
from broker.cluster.passwords import ALGORITHMS, fits, hash_password
from broker.cluster.procedures.vhosts import PREDECLARED
from broker.cluster.records import UserRecord, VhostRecord
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import ALL, Leader, refusal

RIGHTS = {"configure": ".*", "write": "^x", "read": ""}


@pytest.fixture
def leader():
    leader = Leader("n1")
    leader.ask("put_user", name="guest", password="geheim", tags=["administrator"])
    return leader


def test_a_password_is_kept_as_its_hash(leader):
    record = schema.user(leader.tree, "guest")
    assert fits("geheim", record.password_hash)
    assert not fits("Geheim", record.password_hash)
    assert record.tags == ("administrator",)
    assert b"geheim" not in leader.tree.snapshot()


def test_a_user_is_replaced_and_may_have_no_password(leader):
    given = hash_password("x", leader.chance)
    assert leader.ask("put_user", name="other", password_hash=given, tags=[]) == {"created": True}
    assert fits("x", schema.user(leader.tree, "other").password_hash)
    assert leader.ask("put_user", name="other") == {"created": False}
    assert not fits("x", schema.user(leader.tree, "other").password_hash)
    for wrong in ({"password_hash": "no base64!"}, {"password_hash": "YWJj"}, {"tags": "administrator"}):
        assert refusal(leader, "put_user", name="other", **wrong) == "invalid"


def test_what_is_named_changes_and_the_rest_stays(leader):
    leader.ask("change_user", name="guest", tags=["monitoring"])
    record = schema.user(leader.tree, "guest")
    assert fits("geheim", record.password_hash)
    assert record.tags == ("monitoring",)
    leader.ask("change_user", name="guest", password="neu")
    assert fits("neu", schema.user(leader.tree, "guest").password_hash)
    leader.ask("change_user", name="guest", password_hash="")
    assert schema.user(leader.tree, "guest") == UserRecord("guest", "", tags=("monitoring",))
    assert refusal(leader, "change_user", name="nobody", tags=[]) == "no_user"
    assert refusal(leader, "put_user", name="guest", password="x", new=True) == "exists"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hashes_of_all_algorithms_come_in(leader, algorithm):
    given = b64encode(b"salt" + new(ALGORITHMS[algorithm], b"saltgeheim").digest()).decode()
    leader.ask("put_user", name="old", password_hash=given, hashing_algorithm=algorithm)
    record = schema.user(leader.tree, "old")
    assert record.hashing_algorithm == algorithm
    assert fits("geheim", record.password_hash, algorithm)
    assert not fits("Geheim", record.password_hash, algorithm)
    leader.ask("change_user", name="old", password="neu")
    record = schema.user(leader.tree, "old")
    assert fits("neu", record.password_hash, record.hashing_algorithm)
    assert refusal(leader, "put_user", name="old", password_hash=given, hashing_algorithm="rot13") == "invalid"


def test_what_is_no_regular_expression_is_told_as_rabbitmq_does(leader):
    with pytest.raises(Refused) as caught:
        leader.ask("put_permission", user="guest", vhost="/", **(RIGHTS | {"configure": "*a"}))
    assert caught.value.why == "{:invalid_regexp, '*a', {'nothing to repeat', 0}}"


def test_permissions_need_both_ends_and_go_with_either(leader):
    leader.ask("put_vhost", name="v")
    assert leader.ask("put_permission", user="guest", vhost="v", **RIGHTS) == {"created": True}
    assert leader.ask("put_permission", user="guest", vhost="/", **RIGHTS) == {"created": True}
    assert leader.ask("put_permission", user="guest", vhost="/", **RIGHTS) == {"created": False}
    assert schema.permission(leader.tree, "v", "guest").write == "^x"
    assert refusal(leader, "put_permission", user="nobody", vhost="v", **RIGHTS) == "no_user"
    assert refusal(leader, "put_permission", user="guest", vhost="w", **RIGHTS) == "not_found"
    assert leader.ask("clear_permission", user="guest", vhost="/") == {"deleted": True}
    assert leader.ask("clear_permission", user="guest", vhost="/") == {"deleted": False}
    leader.ask("delete_user", name="guest")
    assert schema.permission(leader.tree, "v", "guest") is None
    assert schema.users(leader.tree) == []
    assert refusal(leader, "delete_user", name="guest") == "no_user"


def test_a_vhost_has_its_exchanges_and_takes_everything_along(leader):
    assert leader.ask("put_vhost", name="v", description="d", tags=["t"]) == {"created": True}
    assert {one.name: one.kind for one in schema.exchanges(leader.tree, "v")} == PREDECLARED
    assert schema.exchange(leader.tree, "v", "amq.rabbitmq.trace").internal
    before = len(leader.tree)
    assert leader.ask("put_vhost", name="v", description="e") == {"created": False}
    assert len(leader.tree) == before
    leader.ask("declare_queue", vhost="v", name="q", node="n1", life=1)
    leader.ask("bind", vhost="v", source="amq.direct", destination_kind="queue", destination="q")
    leader.ask("put_permission", user="guest", vhost="v", **RIGHTS)
    leader.ask("put_policy", vhost="v", name="p", pattern="", definition=ALL)
    leader.ask("delete_vhost", name="v")
    assert [vhost.name for vhost in schema.vhosts(leader.tree)] == ["/"]
    assert not leader.tree.find(schema.copies_key("n1"))
    assert refusal(leader, "delete_vhost", name="v") == "not_found"


def test_a_vhost_keeps_what_is_not_named(leader):
    leader.ask("put_vhost", name="v", description="d", tags=["t"], default_queue_type="quorum")
    leader.ask("put_vhost", name="v", description="e")
    assert schema.read(leader.tree, VhostRecord, schema.vhost_path("v")) == VhostRecord(
        "v", "e", ("t",), default_queue_type="quorum"
    )
    assert leader.ask("put_vhost", name="v", description="f", new=True) == {"created": False}
    assert schema.read(leader.tree, VhostRecord, schema.vhost_path("v")).description == "e"
