"""Records and their bytes, paths, index keys."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from broker.cluster import passwords, schema
from broker.cluster.lives import Lives
from broker.cluster.records import (
    BindingRecord,
    ExchangeRecord,
    Life,
    MemberRecord,
    Owner,
    PermissionRecord,
    QueueRecord,
    UserRecord,
    decode,
    encode,
)
from broker.cluster.tree import Tree

QUEUE = QueueRecord(
    id=7,
    vhost="/",
    name="q",
    master=Life("n1", 2),
    term=9,
    mirrors=(Life("n2", 1),),
    in_sync=(Life("n1", 2), Life("n2", 1)),
    candidates=("n2", "n3"),
    exclusive=Owner("n1", 2, "c"),
    arguments={"x-max-length": 5},
    definition={"ha-mode": "all"},
    version=3,
)


def test_records_survive_their_bytes():
    records = [
        QUEUE,
        QUEUE._replace(exclusive=None, arguments={}, definition=None, name="\udcff"),
        MemberRecord("n1", 3, running=True, folder="f", memory_from=2),
        UserRecord("u", "hash", tags=("a", "b")),
        ExchangeRecord(1, "/", "x", "topic", durable=True),
        BindingRecord("/", "x", "queue", "q", "k", {"a": [1, {"b": None}]}),
        PermissionRecord("u", "/", "", "", ".*"),
    ]
    for record in records:
        again = decode(type(record), encode(record))
        assert again == record
        assert decode(type(record), encode(record)) is again, "decoded once"


def test_defaults_take_no_room_and_later_fields_are_passed_over():
    assert encode(MemberRecord("n1")) == b'{"name":"n1"}'
    assert decode(MemberRecord, b'{"name":"n1","colour":"red"}') == MemberRecord("n1")


@given(st.text(), st.text())
def test_different_names_have_different_paths(one, other):
    assert (schema.queue_path("/", one) == schema.queue_path("/", other)) == (one == other)
    assert schema.queue_path(one, other).count("/") == 4
    assert schema.component(one) not in ("", ".", "..")


def test_a_binding_is_what_it_says():
    binding = BindingRecord("/", "x", "queue", "q", "k", {"a": 1, "b": 2})
    assert schema.binding_path(binding) == schema.binding_path(binding._replace(arguments={"b": 2, "a": 1})), (
        "the order of arguments says nothing"
    )
    for facts in ({"source": "y"}, {"destination_kind": "exchange"}, {"key": ""}, {"arguments": {}}):
        assert schema.binding_path(binding) != schema.binding_path(binding._replace(**facts))


def keys_of(record):
    return set(schema.index(schema.queue_path(record.vhost, record.name), encode(record)))


def test_a_queue_is_found_by_its_id_its_nodes_and_its_wants():
    queue = QUEUE._replace(exclusive=None)
    copies = {f"copies:{node}" for node in ("n1", "n2", "n3")}
    assert keys_of(queue) == {"id:7", "masters:n1", "wants:*", *copies}
    named = queue._replace(definition={"ha-mode": "nodes", "ha-params": ["rabbit@n2", "n4"]})
    assert keys_of(named) - copies == {"id:7", "masters:n1", "wants:n2", "wants:n4"}
    full = queue._replace(definition={"ha-mode": "exactly", "ha-params": 2}, state="waiting")
    assert keys_of(full) - copies == {"id:7", "masters:n1", "waiting"}
    short = queue._replace(definition={"ha-mode": "exactly", "ha-params": 3})
    assert schema.WANTS_ANY in keys_of(short)
    assert keys_of(QUEUE) - copies == {"id:7", "masters:n1", "owner:n1"}


def test_other_znodes_have_their_keys():
    def keys(path, record):
        return schema.index(path, encode(record))

    assert keys(schema.exchange_path("/", "x"), ExchangeRecord(1, "/", "x", "topic")) == (schema.TRANSIENT_EXCHANGES,)
    assert keys(schema.exchange_path("/", "x"), ExchangeRecord(1, "/", "x", "topic", durable=True)) == ()
    binding = BindingRecord("/", "x", "queue", "q")
    assert keys(schema.binding_path(binding), binding) == (
        schema.bindings_from("/", "x"),
        schema.bindings_to("/", "queue", "q"),
    )
    permission = PermissionRecord("u", "/", "", "", "")
    assert keys(schema.permission_path("/", "u"), permission) == (schema.permissions_key("u"),)
    assert schema.index("/members/n1", b"{}") == ()
    assert schema.index("/some/where/else/like/this", b"x") == ()


def test_an_empty_tree_has_nothing():
    tree = Tree(schema.index)
    assert schema.cluster(tree) is None
    assert schema.members(tree) == {}
    assert schema.queue_by_id(tree, 1) is None
    assert not schema.is_current(tree, Life("n1", 1))


def test_what_is_known_of_a_life():
    members = {
        "a": MemberRecord("a", 3, running=True, memory_from=2),
        "b": MemberRecord("b", 1),
        "c": MemberRecord("c", 1, running=True, memory=True, memory_from=1),
    }
    lives = Lives(members, {"a": 3, "c": 2})
    assert lives.goes_on(Life("a", 3))
    assert lives.is_over(Life("a", 2))
    assert lives.is_over(Life("b", 1))
    assert lives.is_over(Life("c", 1)), "a newer one has been seen"
    assert lives.is_over(Life("d", 1))
    assert (lives.is_lost(Life("a", 1)), lives.is_lost(Life("a", 2))) == (True, False)
    assert lives.is_lost(Life("c", 1)), "it keeps nothing"
    assert lives.is_lost(Life("d", 1))
    assert (lives.current("a"), lives.current("b"), lives.current("c")) == (Life("a", 3), None, None)
    assert list(lives.reachable.values()) == [Life("a", 3)]
    unseen = Lives(members, {})
    assert not unseen.goes_on(Life("a", 3))
    assert not unseen.is_over(Life("a", 3))
    assert list(Lives(members).reachable.values()) == [Life("a", 3), Life("c", 1)]


def test_passwords_are_rabbitmqs():
    # The worked example of RabbitMQ's documentation, "Credentials and Passwords".
    assert passwords.fits("test12", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
    assert not passwords.fits("test13", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
    made = passwords.hash_password("geheim", Random(1))
    assert passwords.is_hash(made)
    assert passwords.fits("geheim", made)
    assert not passwords.fits("", "")
    assert not passwords.fits("x", "no base64")
    assert [passwords.is_hash(text) for text in ("", "YWJj", "no base64")] == [True, False, False]
