"""Every operation against every right it needs, in the order of checking: code and text as RabbitMQ 3.10.8 answers."""

from contextlib import asynccontextmanager

import pytest
import trio.testing

from broker.amqp.errors import ChannelException
from broker.server.session import Session
from broker.wire import basic_methods as basic
from broker.wire import methods
from broker.wire.methods import ChannelClose, ChannelOpen, ChannelOpenOk, ExchangeDeclareOk, QueueBindOk, QueueDeclareOk
from broker.wire.properties import Properties
from tests.server.fakes import FakeStream, Talker
from tests.vhosts.door import open_house

ALL = {"configure": ".*", "write": ".*", "read": ".*"}
TO_X = {"x-dead-letter-exchange": "x"}
TO_DEFAULT = {"x-dead-letter-exchange": ""}
ELSE_Y = {"alternate-exchange": "y"}


def declare(name, **arguments):
    return methods.QueueDeclare(queue=name, arguments=arguments)


def declare_exchange(name, kind="direct", *, passive=False, **arguments):
    return methods.ExchangeDeclare(exchange=name, type=kind, passive=passive, arguments=arguments)


OPERATIONS = [
    (declare("new"), ["configure queue new"]),
    (declare("q"), ["configure queue q"]),
    (declare("new", **TO_X), ["configure queue new", "read queue new", "write exchange x"]),
    (declare("new", **TO_DEFAULT), ["configure queue new", "read queue new", "write exchange amq.default"]),
    (declare("q", **TO_X), ["configure queue q"]),
    (methods.QueueDeclare(queue="q", passive=True), []),
    (methods.QueueDelete(queue="q"), ["configure queue q"]),
    (methods.QueueDelete(queue="none"), ["configure queue none"]),
    (methods.QueuePurge(queue="q"), ["read queue q"]),
    (basic.BasicGet(queue="q"), ["read queue q"]),
    (basic.BasicGet(queue="none"), ["read queue none"]),
    (basic.BasicConsume(queue="q"), ["read queue q"]),
    (methods.QueueBind(queue="q", exchange="x"), ["write queue q", "read exchange x"]),
    (methods.QueueBind(queue="none", exchange="nowhere"), ["write queue none", "read exchange nowhere"]),
    (methods.QueueUnbind(queue="q", exchange="x"), ["write queue q", "read exchange x"]),
    (methods.QueueBind(queue="q", exchange=""), ["write queue q"]),
    (methods.ExchangeBind(destination="x", source="y"), ["write exchange x", "read exchange y"]),
    (methods.ExchangeUnbind(destination="x", source="y"), ["write exchange x", "read exchange y"]),
    (methods.ExchangeBind(destination="", source="y"), ["write exchange amq.default"]),
    (methods.ExchangeBind(destination="x", source=""), ["write exchange x"]),
    (declare_exchange("newx"), ["configure exchange newx"]),
    (declare_exchange("x"), ["configure exchange x"]),
    (declare_exchange("newx", **ELSE_Y), ["configure exchange newx", "read exchange newx", "write exchange y"]),
    (declare_exchange("x", **ELSE_Y), ["configure exchange x"]),
    (declare_exchange("x", passive=True), []),
    (methods.ExchangeDelete(exchange="x"), ["configure exchange x"]),
    (methods.ExchangeDelete(exchange="none"), ["configure exchange none"]),
    (basic.BasicPublish(exchange="x", routing_key="k"), ["write exchange x"]),
    (basic.BasicPublish(exchange="", routing_key="q"), ["write exchange amq.default"]),
    (basic.BasicPublish(exchange="none", routing_key="q"), ["write exchange none"]),
]

LOCKED = (
    "405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'own' in vhost '/'. It could be originally "
    "declared on another connection or the exclusive property value does not match that of the original declaration."
)
ON_DEFAULT = "403 ACCESS_REFUSED - operation not permitted on the default exchange"
NO_QUEUE = "404 NOT_FOUND - no queue 'none' in vhost '/'"
NO_EXCHANGE = "404 NOT_FOUND - no exchange 'none' in vhost '/'"
NONE_DECLARED = "404 NOT_FOUND - no previously declared queue"
EXPIRES_NOT = (
    "406 PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'new' in vhost '/': \"expected integer, got bool\""
)

REFUSED_ANYHOW = [
    (declare("own"), LOCKED),
    (methods.QueueDeclare(queue="own", exclusive=True), LOCKED),
    (methods.QueueDeclare(queue="own", passive=True), LOCKED),
    (methods.QueueDelete(queue="own"), LOCKED),
    (methods.QueuePurge(queue="own"), LOCKED),
    (basic.BasicGet(queue="own"), LOCKED),
    (basic.BasicConsume(queue="own", arguments={"x-priority": "high"}), LOCKED),
    (methods.QueueBind(queue="own", exchange="x"), LOCKED),
    (methods.QueueUnbind(queue="own", exchange="y"), LOCKED),
    (methods.QueueBind(queue="own", exchange="none"), NO_EXCHANGE),
    (methods.QueueDeclare(queue="none", passive=True), NO_QUEUE),
    (methods.QueueDeclare(passive=True), NO_QUEUE.replace("none", "")),
    (methods.QueuePurge(queue="none"), NO_QUEUE),
    (basic.BasicGet(queue="none"), NO_QUEUE),
    (basic.BasicConsume(queue="none"), NO_QUEUE),
    (methods.QueueBind(queue="none", exchange="x"), NO_QUEUE),
    (methods.QueueBind(queue="none", exchange="none"), NO_EXCHANGE),
    (methods.ExchangeBind(destination="none", source="x"), NO_EXCHANGE),
    (methods.ExchangeBind(destination="x", source="none"), NO_EXCHANGE),
    (declare_exchange("none", passive=True), NO_EXCHANGE),
    (basic.BasicPublish(exchange="none"), NO_EXCHANGE),
    (methods.QueueDelete(), NONE_DECLARED),
    (methods.QueuePurge(), NONE_DECLARED),
    (basic.BasicGet(), NONE_DECLARED),
    (basic.BasicConsume(), NONE_DECLARED),
    (methods.QueueBind(exchange="x", routing_key="k"), NONE_DECLARED),
    (methods.QueueUnbind(exchange="x"), NONE_DECLARED),
    (methods.QueueBind(queue="q", exchange=""), ON_DEFAULT),
    (methods.QueueUnbind(queue="q", exchange=""), ON_DEFAULT),
    (methods.ExchangeBind(destination="", source="y"), ON_DEFAULT),
    (methods.ExchangeUnbind(destination="x", source=""), ON_DEFAULT),
    (declare_exchange(""), ON_DEFAULT),
    (declare_exchange("", passive=True), ON_DEFAULT),
    (methods.ExchangeDelete(exchange=""), ON_DEFAULT),
    (declare("amq.mine"), "403 ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"),
    (declare_exchange("amq.mine"), "403 ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"),
    (
        methods.ExchangeDelete(exchange="amq.direct"),
        "403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    ),
    (
        methods.ExchangeDelete(exchange="amq.none"),
        "403 ACCESS_REFUSED - deletion of system exchange 'amq.none' in vhost '/' not allowed",
    ),
    (
        basic.BasicPublish(exchange="inside"),
        "403 ACCESS_REFUSED - cannot publish to internal exchange 'inside' in vhost '/'",
    ),
    (methods.QueueDelete(queue="full", if_empty=True), "406 PRECONDITION_FAILED - queue 'full' in vhost '/' not empty"),
    (
        methods.ExchangeDelete(exchange="y", if_unused=True),
        "406 PRECONDITION_FAILED - exchange 'y' in vhost '/' in use",
    ),
    (
        declare("new", **{"x-dead-letter-exchange": 5, "x-expires": True}),
        "406 PRECONDITION_FAILED - "
        "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'new' in vhost '/'",
    ),
    (declare("new", **{"x-expires": True}), EXPIRES_NOT),
    (
        declare_exchange("newx", **{"alternate-exchange": True}),
        "406 PRECONDITION_FAILED - invalid type 'bool' for arg 'alternate-exchange' in exchange 'newx' in vhost '/'",
    ),
]
"""Refused to a user who may do everything."""

NOT_REFUSED = [
    methods.QueueDelete(queue="none"),
    methods.QueueDelete(queue="amq.none"),
    methods.QueueUnbind(queue="none", exchange="x"),
    methods.QueueUnbind(queue="q", exchange="none"),
    methods.QueueUnbind(queue="own", exchange="x"),
    methods.ExchangeUnbind(destination="none", source="nowhere"),
    methods.ExchangeDelete(exchange="none"),
    declare_exchange("x", kind="nonsense", passive=True),
    methods.ExchangeDeclare(exchange="amq.direct", type="direct", durable=True),
]


class House:
    """A vhost with something in it, and a user whose rights change."""

    def __init__(self, house):
        self.house = house
        self.hall = house.hall

    async def furnish(self):
        await self.hall.tree.propose({"do": "put_user", "name": "ann", "password": "ann", "tags": []})
        await self.allow()
        self.owner = await self.house.client()
        for name, kind in (("x", "direct"), ("y", "fanout"), ("inside", "fanout"), ("t", "topic")):
            method = methods.ExchangeDeclare(exchange=name, type=kind, internal=name == "inside")
            await self.owner.ask(1, method, ExchangeDeclareOk)
        for name in ("q", "full"):
            await self.owner.ask(1, declare(name), QueueDeclareOk)
        await self.owner.ask(1, methods.QueueDeclare(queue="own", exclusive=True), QueueDeclareOk)
        await self.owner.ask(1, methods.QueueBind(queue="own", exchange="y"), QueueBindOk)
        self.owner.connection.publish(1, "", "full", b"x")
        await self.owner.ask(1, methods.QueuePurge(queue="q"), methods.QueuePurgeOk)

    async def allow(self, **patterns):
        await self.hall.tree.propose({"do": "put_permission", "user": "ann", "vhost": "/", **ALL, **patterns})

    async def allow_topic(self, write, read, exchange="t"):
        names = {"user": "ann", "vhost": "/", "exchange": exchange}
        await self.hall.tree.propose({"do": "put_topic_permission", **names, "write": write, "read": read})

    async def ann(self):
        ours, theirs = trio.testing.memory_stream_pair()
        session = Session(FakeStream(ours, "127.0.0.1:60000"), self.house.door, "127.0.0.1:5672")
        self.house._nursery.start_soon(session.run)
        return await Talker(FakeStream(theirs, "127.0.0.1:5672"), user="ann", password="ann").open()


@asynccontextmanager
async def furnished():
    async with open_house() as house:
        furnished = House(house)
        await furnished.furnish()
        yield furnished


async def refusal(client, method, properties=None):
    """Code and text, or None; the channel is open afterwards."""
    if isinstance(method, basic.BasicPublish):
        client.connection.publish(1, method.exchange, method.routing_key, b"x", properties or Properties())
        client.connection.call(1, basic.BasicQos(0, 0, False))
    else:
        client.connection.call(1, method)
    answer = (await client.listen())[1]
    if not isinstance(answer, ChannelClose):
        return None
    await client.ask(1, ChannelOpen(), ChannelOpenOk)
    return f"{answer.reply_code} {answer.reply_text}"


async def test_each_operation_needs_its_rights_and_misses_the_first(autojump_clock):
    async with furnished() as house:
        ann = await house.ann()
        for method, needed in OPERATIONS:
            for missing in needed:
                right, kind, name = missing.split()
                await house.allow(**{right: f"^(?!{name}$)"})
                why = f"403 ACCESS_REFUSED - access to {kind} '{name}' in vhost '/' refused for user 'ann'"
                assert await refusal(ann, method) == why, (method, missing)
            if needed:
                right, kind, name = needed[0].split()
                await house.allow(configure="", write="", read="")
                why = f"403 ACCESS_REFUSED - access to {kind} '{name}' in vhost '/' refused for user 'ann'"
                assert await refusal(ann, method) == why, (method, "anything")


async def test_each_operation_needs_no_other_rights(autojump_clock):
    for method, needed in OPERATIONS:
        rights = {"configure": "", "write": "", "read": ""}
        for one in needed:
            right, _, name = one.split()
            rights[right] += f"|^{name}$" if rights[right] else f"^{name}$"
        async with furnished() as house:
            await house.allow(**rights)
            refused = await refusal(await house.ann(), method)
            assert refused is None or "refused for user" not in refused, (method, refused)


async def test_what_is_refused_whatever_the_rights(autojump_clock):
    async with furnished() as house:
        ann = await house.ann()
        for method, why in REFUSED_ANYHOW:
            assert await refusal(ann, method) == why, method
        for method in NOT_REFUSED:
            assert await refusal(ann, method) is None, method


def refused_topic(key, exchange="t"):
    return f"403 ACCESS_REFUSED - access to topic '{key}' in exchange '{exchange}' in vhost '/' refused for user 'ann'"


@pytest.mark.parametrize(
    ("method", "right"),
    [
        (basic.BasicPublish(exchange="t", routing_key="KEY"), "write"),
        (methods.QueueBind(queue="q", exchange="t", routing_key="KEY"), "read"),
        (methods.QueueUnbind(queue="q", exchange="t", routing_key="KEY"), "read"),
        (methods.ExchangeBind(destination="x", source="t", routing_key="KEY"), "read"),
        (methods.ExchangeUnbind(destination="x", source="t", routing_key="KEY"), "read"),
    ],
)
async def test_topic_permissions(autojump_clock, method, right):
    def keyed(key):
        fields = {name: getattr(method, name) for name in method.__slots__}
        return type(method)(**{**fields, "routing_key": key})

    async with furnished() as house:
        ann = await house.ann()
        assert await refusal(ann, keyed("any.key")) is None, "no record, no refusal"
        await house.allow_topic(**{"write": "", "read": "", right: "^{username}\\.{vhost}\\."})
        assert await refusal(ann, keyed("ann./.x")) is None
        assert await refusal(ann, keyed("bob./.x")) == refused_topic("bob./.x")
        other = keyed("bob./.x")
        if hasattr(other, "exchange"):
            other.exchange = "y"
        else:
            other.source = "y"
        assert await refusal(ann, other) is None, "other exchanges, and those of other kinds, are not touched"
        await house.allow_topic(**{"write": "", "read": "", right: "^bob"})
        assert await refusal(ann, keyed("bob./.x")) is None
        assert await refusal(ann, keyed("ann./.x")) == refused_topic("ann./.x"), "routes that were known have gone"
        await house.hall.tree.propose({"do": "clear_topic_permission", "user": "ann", "vhost": "/", "exchange": None})
        assert await refusal(ann, keyed("ann./.x")) is None


async def test_an_empty_topic_pattern_takes_empty_keys_only_and_copies_are_not_asked_for(autojump_clock):
    async with furnished() as house:
        ann = await house.ann()
        await house.allow_topic("", "")
        assert await refusal(ann, basic.BasicPublish(exchange="t", routing_key="")) is None
        assert await refusal(ann, basic.BasicPublish(exchange="t", routing_key="k")) == refused_topic("k")
        copies = Properties(headers={"CC": ["k"]})
        assert await refusal(ann, basic.BasicPublish(exchange="t", routing_key=""), copies) is None


async def test_a_transaction_refuses_at_once_what_it_would_not_carry_out(autojump_clock):
    async with furnished() as house:
        ann = await house.ann()
        await house.allow(write="^x$")
        refused = [
            (basic.BasicPublish(exchange="none"), None, "403 ACCESS_REFUSED - access to exchange 'none' in vhost '/'"),
            (basic.BasicPublish(exchange="x"), Properties(user_id="bob"), "406 PRECONDITION_FAILED - user_id property"),
            (basic.BasicPublish(exchange="x"), Properties(expiration="soon"), "406 PRECONDITION_FAILED - invalid exp"),
        ]
        for method, properties, why in refused:
            await ann.ask(1, basic.TxSelect(), basic.TxSelectOk)
            assert (await refusal(ann, method, properties)).startswith(why)


async def test_rights_are_looked_up_again_when_they_change_and_only_then(autojump_clock):
    async with furnished() as house:
        known = house.hall.access("ann", "/")
        await house.owner.ask(1, declare("another"), QueueDeclareOk)
        assert house.hall.access("ann", "/") is known
        await house.allow(write="^x$")
        assert not house.hall.access("ann", "/").may("write", "y")
        await house.allow_topic("a", "b")
        with pytest.raises(ChannelException, match="access to topic 'x'"):
            house.hall.access("ann", "/").check_topic("write", "t", "x")


async def test_names_lose_line_ends_where_something_is_declared_bound_or_deleted_but_not_where_it_is_used(
    autojump_clock,
):
    async with furnished() as house:
        client = house.owner
        assert (await client.ask(1, declare("a\r\nb"), QueueDeclareOk)).queue == "ab"
        assert await refusal(client, declare_exchange("x\ny")) is None
        assert await refusal(client, methods.QueueBind(queue="a\nb", exchange="x\ny")) is None
        for method in (
            basic.BasicGet(queue="a\nb"),
            basic.BasicConsume(queue="a\nb"),
            methods.QueuePurge(queue="a\nb"),
        ):
            assert await refusal(client, method) == "404 NOT_FOUND - no queue 'a\nb' in vhost '/'"
        assert await refusal(client, declare("am\nq.x")) == (
            "403 ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix 'amq.*'"
        )
        assert await refusal(client, methods.ExchangeDelete(exchange="x\ny", if_unused=True)) == (
            "406 PRECONDITION_FAILED - exchange 'xy' in vhost '/' in use"
        )
        assert (await client.ask(1, methods.QueueDelete(queue="a\nb"), methods.QueueDeleteOk)).message_count == 0
        assert await refusal(client, basic.BasicGet(queue="ab")) == "404 NOT_FOUND - no queue 'ab' in vhost '/'"


async def test_names_may_be_of_any_characters_and_255_bytes_long(autojump_clock):
    async with furnished() as house:
        for name in ("é" * 127 + "e", " ", ".", "..", "/", "%2F", "#", "\0", "\x7f", "\uffff", "amq", "{a}", "\"'"):
            assert (await house.owner.ask(1, declare(name), QueueDeclareOk)).queue == name
            assert await refusal(house.owner, declare_exchange(name)) is None
            bound = methods.QueueBind(queue=name, exchange=name, routing_key=name)
            await house.owner.ask(1, bound, QueueBindOk)
            await house.owner.ask(1, methods.QueueDelete(queue=name), methods.QueueDeleteOk)
