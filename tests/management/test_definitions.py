"""Definitions: what RabbitMQ 3.10.8 exported comes in unchanged and goes out the same, and refusals name their item."""

import json
from base64 import b64encode
from contextlib import suppress
from hashlib import md5
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.cluster import schema
from broker.cluster.passwords import ALGORITHMS
from broker.cluster.records import Life, Owner, VhostRecord
from broker.cluster.refusal import Refused
from broker.management.definition_import import DefinitionImport
from broker.management.definitions import export
from broker.vhosts.logins import LoginRefused
from tests.vhosts.room import open_hall

RABBITMQ = json.loads(Path(__file__).with_name("rabbitmq_definitions.json").read_text(encoding="utf-8"))
INSIDE = ("parameters", "policies", "queues", "exchanges", "bindings")


async def load(hall, file, vhost=None):
    await DefinitionImport(hall, file, vhost).run()


async def refusal(hall, **sections):
    with pytest.raises(Refused) as caught:
        await load(hall, sections)
    return caught.value.code, caught.value.why


def in_order(items):
    """Items as sets have them; pairs are objects, as in RabbitMQ's own exports."""
    plain = json.loads(json.dumps(items).replace('[["message-ttl", 3600000]]', '{"message-ttl": 3600000}'))
    return sorted(plain, key=lambda item: json.dumps(item, sort_keys=True))


def section(name, definitions):
    """What of a section came from RabbitMQ's file, without what this cluster had before."""
    items = [{**item, "limits": sorted(item["limits"])} if name == "vhosts" else item for item in definitions[name]]
    items = [{key: value for key, value in item.items() if key != "internal"} for item in items]
    # An internal exchange is not exported, but bindings to it are: where it is missing they come to nothing.
    items = [item for item in items if item.get("destination") != "inner"]
    return in_order([item for item in items if item.get("name") not in ("guest", "/") and item.get("vhost") != "/"])


async def test_a_file_of_rabbitmq_comes_in_unchanged_and_goes_out_the_same():
    async with open_hall() as hall:
        await load(hall, RABBITMQ)
        made = export(hall)
        for name in ("users", "vhosts", "permissions", "topic_permissions", *INSIDE):
            assert section(name, made) == section(name, RABBITMQ), name
        assert made["rabbit_version"] == made["rabbitmq_version"] == "3.10.8"
        for name, password in {"alice": "wonder", "bob": "builder", "carol": "singer"}.items():
            assert hall.logins.by_password(name, password, "127.0.0.1").name == name
        with pytest.raises(LoginRefused):
            hall.logins.by_password("dave", "", "127.0.0.1")
        await load(hall, RABBITMQ)
        assert export(hall) == made


async def test_what_was_exported_makes_another_cluster_the_same():
    async with open_hall() as first:
        await load(first, RABBITMQ)
        exported = json.loads(json.dumps(export(first)))
    async with open_hall() as second:
        await load(second, exported)
        assert export(second) == exported


async def test_one_virtual_host_goes_to_another():
    async with open_hall() as hall:
        await load(hall, RABBITMQ)
        shop = export(hall, "shop")
        assert all("vhost" not in item for name in INSIDE for item in shop[name])
        assert not shop.keys() & {"users", "vhosts", "permissions", "topic_permissions"}
        await load(hall, shop, "empty")
        assert export(hall, "empty") == shop
        with pytest.raises(Refused) as caught:
            await load(hall, shop, "nowhere")
        assert caught.value.why == "Virtual host 'nowhere' does not exist"


async def test_what_is_exclusive_stays_at_home():
    async with open_hall() as hall:
        ours = {"node": "n1", "life": 1, "connection": "c", "exclusive": True}
        await hall.tree.propose({"do": "declare_queue", "vhost": "/", "name": "mine", **ours})
        bound = {"source": "amq.direct", "destination_kind": "queue", "destination": "mine", "key": "k"}
        await hall.tree.propose({"do": "bind", "vhost": "/", **bound})
        assert schema.queue(hall.tree.tree, "/", "mine").exclusive == Owner(*Life("n1", 1), "c")
        made = export(hall)
        assert (made["queues"], made["bindings"], made["exchanges"]) == ([], [], [])


def queue(name, **facts):
    return {"name": name, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}, **facts}


def exchange(name, **facts):
    return {**queue(name), "type": "direct", **facts}


async def test_what_exists_stays_and_what_can_change_changes():
    async with open_hall() as hall:
        await load(hall, {"queues": [queue("q")], "exchanges": [exchange("x")]})
        again = [queue("q", durable=False, arguments={"x-max-length": 1}), queue("amq.gen-1")]
        await load(hall, {"queues": again, "exchanges": [exchange("x", type="fanout"), exchange("amq.mine")]})
        tree = hall.tree.tree
        assert schema.queue(tree, "/", "q").durable
        assert [record.name for record in schema.queues(tree, "/")] == ["q"]
        assert schema.exchange(tree, "/", "x").kind == "direct"
        assert schema.exchange(tree, "/", "amq.mine") is None
        lost = {"vhost": "/", "routing_key": "k", "destination_type": "queue", "arguments": {}}
        ends = [("", "q"), ("nowhere", "q"), ("x", "nobody")]
        await load(hall, {"bindings": [{**lost, "source": source, "destination": to} for source, to in ends]})
        assert schema.bindings(tree, "/") == []
        said = {"metadata": {"description": "said", "tags": "a,b", "default_queue_type": "undefined"}}
        await load(hall, {"vhosts": [{"name": "/", **said}]})
        assert schema.read(tree, VhostRecord, schema.vhost_path("/")) == VhostRecord("/", "said", ("a", "b"))
        await load(hall, {"global_parameters": [{"name": "cluster_name", "value": "x"}, {"name": "n", "value": [1]}]})
        assert schema.cluster(tree).title == "x"
        assert export(hall)["global_parameters"] == [
            {"name": "cluster_name", "value": "x"},
            {"name": "n", "value": [1]},
        ]


async def test_hashes_of_old_files_are_md5():
    async with open_hall() as hall:
        given = b64encode(b"salt" + md5(b"saltx").digest()).decode()
        old = {"name": "old", "password_hash": given, "tags": "administrator"}
        await load(hall, {"rabbit_version": "3.5.7", "users": [old]})
        assert hall.logins.by_password("old", "x", "127.0.0.1").tags == ("administrator",)
        assert (await refusal(hall, rabbit_version="3.6.0", users=[old]))[0] == "invalid"


PERMISSION = {"user": "guest", "vhost": "/", "configure": "", "write": "", "read": ""}


@pytest.mark.parametrize(
    ("name", "item", "code", "why"),
    [
        ("users", {"name": "eve", "password": "x"}, "invalid", "tags_not_present (user eve)"),
        (
            "users",
            {"name": "eve", "password_hash": "!!", "tags": ""},
            "invalid",
            "the password_hash of user 'eve' is not base64 of a salt and a digest of rabbit_password_hashing_sha256 "
            "(user eve)",
        ),
        ("users", {"tags": ""}, "invalid", 'name is missing in {"tags": ""}'),
        (
            "users",
            {"tags": "", "password": "secret", "password_hash": "secret"},
            "invalid",
            'name is missing in {"tags": "", "password": "...", "password_hash": "..."}',
        ),
        (
            "parameters",
            {"vhost": "/", "component": "shovel", "value": {"src-uri": "amqp://me:secret@here"}},
            "invalid",
            'name is missing in {"vhost": "/", "component": "shovel", "value": "..."}',
        ),
        (
            "users",
            {"name": "eve", "tags": [], "limits": {"max-bogus": 1}},
            "invalid",
            'Unrecognised terms [{<<"max-bogus">>,1}] in user-limits (user eve)',
        ),
        ("permissions", {**PERMISSION, "user": "eve"}, "no_user", '{:no_such_user, "eve"} (permission in /)'),
        ("permissions", {**PERMISSION, "vhost": "v"}, "not_found", "Virtual host 'v' does not exist"),
        (
            "permissions",
            {**PERMISSION, "write": "*"},
            "invalid",
            "{:invalid_regexp, '*', {'nothing to repeat', 0}} (permission of guest in /)",
        ),
        ("exchanges", exchange("x", type="x-bogus"), "invalid", "unknown exchange type 'x-bogus'"),
        ("exchanges", exchange("x", vhost="v"), "not_found", "Virtual host 'v' does not exist"),
        ("queues", {"name": "q", "vhost": "/"}, "invalid", 'durable is missing in {"name": "q", "vhost": "/"}'),
        ("queues", {"name": "q", "durable": True}, "not_found", "Virtual host 'undefined' does not exist"),
        ("queues", queue("q", arguments=[1]), "invalid", "[1] is not an object"),
        (
            "policies",
            {"vhost": "/", "name": "bad", "pattern": "x", "definition": {"bogus": 1}},
            "invalid",
            'Validation failed\n\n[{<<"bogus">>,1}] are not recognised policy settings\n (//bad)',
        ),
        (
            "parameters",
            {"vhost": "/", "component": "bogus", "name": "n", "value": {}},
            "invalid",
            "Validation failed\n\ncomponent bogus not found\n (//bogus/n)",
        ),
        (
            "parameters",
            {"vhost": "/", "component": "policy", "name": "p", "value": {}},
            "invalid",
            "policies may not be set using this method (//policy/p)",
        ),
        (
            "parameters",
            {"vhost": "/", "component": "vhost-limits", "name": "limits", "value": {"max-bogus": 1}},
            "invalid",
            'Validation failed\n\nUnrecognised terms [{<<"max-bogus">>,1}] in limits\n (//vhost-limits/limits)',
        ),
    ],
)
async def test_refusals_name_their_item(name, item, code, why):
    async with open_hall() as hall:
        assert await refusal(hall, **{name: [item]}) == (code, why)


async def test_a_wrong_argument_is_told_as_to_a_client():
    async with open_hall() as hall:
        code, why = await refusal(hall, queues=[queue("q", arguments={"x-message-ttl": "abc"})])
        assert code == "invalid"
        assert why.startswith("invalid arg 'x-message-ttl' for queue 'q' in vhost '/': ")


async def test_a_section_is_gone_through_and_the_next_does_not_begin():
    async with open_hall() as hall:
        exchanges = [exchange("bad", type="x-bogus"), exchange("good")]
        await refusal(hall, exchanges=exchanges, queues=[queue("after")])
        assert schema.exchange(hall.tree.tree, "/", "good") is not None
        assert schema.queue(hall.tree.tree, "/", "after") is None


async def test_too_many_queues_are_refused_before_anything_is_declared():
    async with open_hall() as hall:
        await hall.tree.propose({"do": "set_vhost_limits", "vhost": "/", "limits": {"max-queues": 2}})
        await load(hall, {"queues": [queue("a")]})
        code, why = await refusal(hall, exchanges=[exchange("x")], queues=[queue("a"), queue("b"), queue("c")])
        assert (code, why) == (
            "full",
            'Adding 2 queue(s) to virtual host "/" would exceed the limit of 2 queue(s).\n\n'
            "This virtual host currently has 1 queue(s) defined.\n\nImport aborted!",
        )
        assert schema.exchange(hall.tree.tree, "/", "x") is None
        await load(hall, {"queues": [queue("a"), queue("b")]})


async def test_what_is_no_definitions_at_all():
    async with open_hall() as hall:
        with pytest.raises(Refused) as caught:
            await load(hall, [])
        assert caught.value.why == "definitions are a JSON object"
        assert await refusal(hall, users={}) == ("invalid", "users is a list of objects")


FIELDS = {
    "users": "name password password_hash hashing_algorithm tags limits",
    "vhosts": "name description tags metadata limits default_queue_type tracing",
    "permissions": "user vhost configure write read",
    "topic_permissions": "user vhost exchange write read",
    "parameters": "vhost component name value",
    "policies": "vhost name pattern apply-to definition priority",
    "queues": "name vhost durable auto_delete arguments type",
    "exchanges": "name vhost type durable auto_delete internal arguments",
    "bindings": "source vhost destination destination_type routing_key arguments",
    "global_parameters": "name value",
}
WORDS = [
    "/",
    "guest",
    "q",
    "\ud800",
    "amq.topic",
    "topic",
    "x-consistent-hash",
    "queue",
    "operator_policy",
    "vhost-limits",
    "*",
    "",
]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.sampled_from(WORDS), st.text(max_size=3)
)
NAMES = st.sampled_from(
    ["x-max-length", "x-queue-type", "max-length", "pattern", "definition", "max-queues", "$", "value"]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=5,
)


TABLES = st.dictionaries(NAMES, VALUES, max_size=3)
USUAL = {
    **dict.fromkeys(("durable", "auto_delete", "internal"), st.booleans()),
    **dict.fromkeys(("arguments", "definition", "metadata", "limits", "value"), TABLES),
    "hashing_algorithm": st.sampled_from(sorted(ALGORITHMS)),
}


@st.composite
def sections(draw):
    """Objects that have, as a rule, the members that they should have, and in them what should be there."""
    name = draw(st.sampled_from(sorted(FIELDS)))
    item = {}
    for field in FIELDS[name].split():
        strategy = USUAL.get(field, st.sampled_from(WORDS)) if draw(st.integers(0, 9)) else VALUES
        if draw(st.integers(0, 19)):
            item[field] = draw(strategy)
    return {name: [item]}


@settings(max_examples=50, deadline=None)
@given(sections())
def test_whatever_the_file_says_it_is_imported_or_refused(file):
    async def play():
        async with open_hall() as hall:
            with suppress(Refused):
                await load(hall, json.loads(json.dumps(file)))
            export(hall)

    trio.run(play)
