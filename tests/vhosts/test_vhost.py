"""Where publishes go, and under whose rights: the short path on a real hall."""

from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from broker.amqp.errors import ChannelException, ConnectionException
from broker.meters.traffic import Flow
from broker.vhosts import crossroads as room
from broker.vhosts.client import User
from broker.vhosts.subscription import Fetcher
from broker.wire import basic_methods as basic
from broker.wire.content import body_of, make_content
from broker.wire.events import Content
from broker.wire.fields import Timestamp
from broker.wire.message import make_address
from broker.wire.methods import (
    ChannelClose,
    ChannelCloseOk,
    ExchangeDeclare,
    ExchangeDeclareOk,
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueueDeleteOk,
)
from broker.wire.properties import Properties, headers_of, traits_of
from tests.vhosts.door import open_house
from tests.vhosts.room import open_hall


class FakeChannel:
    """Confirms nothing, keeps what is returned."""

    transaction = None

    def __init__(self):
        self.flow = Flow()
        self.outlet = self
        self.heard_at = 0.0
        self.returns = []

    def open_pending(self, count, since=None):
        return None

    def returned(self, code, text, payload, contents):
        self.returns.append((code, text, len(contents)))


class Visit:
    def __init__(self, hall):
        self.hall = hall
        self.vhost, self.client = hall.open_vhost(User("guest"), "/", "a connection")
        self.channel = FakeChannel()

    async def queue(self, *names):
        for name in names:
            await self.hall.declarations.declare_plain("/", name)

    def publish(self, exchange, key, *bodies, mandatory=False, immediate=False, **properties):
        contents = [make_content(1, Properties(**properties), body.encode(), 131072) for body in bodies]
        payload = b"\0\0" + make_address(exchange, key) + bytes([mandatory + 2 * immediate])
        self.vhost.publish(self.client, self.channel, payload, traits_of(contents[0]), contents)

    def bodies(self, name):
        self.vhost.publish_gathered()
        self.hall.switchboard.end_turn()
        living = self.vhost.handles[name].local.queue.living()
        return [body_of(content).decode() for run in living for content in run.contents]


@asynccontextmanager
async def visit(*queues):
    async with open_hall() as hall:
        visitor = Visit(hall)
        await visitor.queue(*queues)
        yield visitor


async def test_the_way_is_remembered_until_something_changes(autojump_clock):
    async with visit("q") as guest:
        guest.publish("", "q", "one")
        (route,) = guest.client.routes.values()
        guest.publish("", "q", "two")
        assert list(guest.client.routes.values()) == [route]
        await guest.queue("another")
        guest.publish("", "q", "three")
        assert list(guest.client.routes.values()) != [route]
        assert guest.bodies("q") == ["one", "two", "three"]


async def test_random_keys_do_not_fill_the_memory(autojump_clock, monkeypatch):
    monkeypatch.setattr(room, "ROUTES_MAX", 10)
    async with visit("q") as guest:
        for number in range(50):
            guest.publish("", f"key {number}", "lost")
        assert len(guest.client.routes) <= 10


async def test_what_leads_nowhere_comes_back_only_if_it_is_mandatory(autojump_clock):
    async with visit() as guest:
        guest.publish("", "nowhere", "lost")
        assert guest.channel.returns == []
        guest.publish("", "nowhere", "a", "b", mandatory=True)
        assert guest.channel.returns == [(312, "NO_ROUTE", 2)]


_NO_LIST = 'invalid message: {unacceptable_type_in_header,"CC",longstr}'


async def test_refusals(autojump_clock):
    async with visit("q") as guest:
        await guest.hall.tree.propose(
            {"do": "declare_exchange", "vhost": "/", "name": "inner", "kind": "fanout", "internal": True}
        )
        cases = [
            (("gone", "q"), {}, 404, "no exchange 'gone' in vhost '/'"),
            (("inner", "q"), {}, 403, "cannot publish to internal exchange 'inner' in vhost '/'"),
            (("", "q"), {"immediate": True}, 540, "immediate=true"),
            (("", "q"), {"user_id": "ann"}, 406, "user_id property set to 'ann' but authenticated user was 'guest'"),
            (("", "q"), {"headers": {"CC": "text"}}, 406, _NO_LIST),
        ]
        for address, facts, code, why in cases:
            with pytest.raises(ChannelException) as caught:
                guest.publish(*address, "lost", **facts)
            assert (caught.value.code, caught.value.why) == (code, why)
        guest.publish("", "q", "mine", user_id="guest")
        assert guest.bodies("q") == ["mine"]


async def test_rights_to_write_are_taken_away_at_once(autojump_clock):
    async with visit("q") as guest:
        guest.publish("", "q", "one")
        rights = {"configure": ".*", "write": "^$", "read": ".*"}
        await guest.hall.tree.propose({"do": "put_permission", "user": "guest", "vhost": "/", **rights})
        with pytest.raises(ChannelException, match="access to exchange 'amq\\.default' in vhost '/' refused"):
            guest.publish("", "q", "two")


async def test_headers_decide_message_by_message_where_the_exchange_asks_for_them(autojump_clock):
    async with visit("red", "all") as guest:
        for queue, arguments in (("red", {"x-match": "all", "colour": "red"}), ("all", {"x-match": "any", "n": None})):
            await guest.hall.declarations.bind_queue(guest.client, queue, "amq.headers", "", arguments, bind=True)
        guest.publish("amq.headers", "", "r", headers={"colour": "red", "n": 1})
        guest.publish("amq.headers", "", "b", headers={"colour": "blue", "n": 1})
        guest.publish("amq.headers", "", "none")
        assert (guest.bodies("red"), guest.bodies("all")) == (["r"], ["r", "b"])


async def test_the_sender_may_name_more_keys_and_hide_some(autojump_clock):
    async with visit("to", "copy", "blind") as guest:
        guest.publish("", "to", "one", "two", headers={"CC": ["copy"], "BCC": ["blind"], "mine": 1})
        for queue in ("to", "copy", "blind"):
            assert guest.bodies(queue) == ["one", "two"]
            (run,) = guest.vhost.handles[queue].local.queue.living()
            assert [headers_of(content) for content in run.contents] == [{"CC": ["copy"], "mine": 1}] * 2


async def test_an_alternate_exchange_gets_what_leads_nowhere(autojump_clock):
    async with visit("rest") as guest:
        arguments = {"alternate-exchange": "amq.fanout"}
        request = {"do": "declare_exchange", "vhost": "/", "name": "x", "kind": "direct", "arguments": arguments}
        await guest.hall.tree.propose(request)
        await guest.hall.declarations.bind_queue(guest.client, "rest", "amq.fanout", "", {}, bind=True)
        guest.publish("x", "nobody's", "one", mandatory=True)
        assert (guest.bodies("rest"), guest.channel.returns) == (["one"], [])


async def test_a_policy_names_the_alternate_of_an_exchange_that_names_none(autojump_clock):
    async with visit("rest", "other") as guest:
        for name, kind, arguments in (
            ("plain", "direct", {}),
            ("named", "direct", {"alternate-exchange": "amq.topic"}),
            ("nobody", "direct", {"alternate-exchange": ""}),
        ):
            request = {"do": "declare_exchange", "vhost": "/", "name": name, "kind": kind, "arguments": arguments}
            await guest.hall.tree.propose(request)
        for queue, source in (("rest", "amq.fanout"), ("other", "amq.topic")):
            await guest.hall.declarations.bind_queue(guest.client, queue, source, "#", {}, bind=True)
        definition = {"alternate-exchange": "amq.fanout"}
        policy = {"vhost": "/", "name": "p", "pattern": "^(plain|named|nobody)$", "definition": definition}
        await guest.hall.tree.propose({"do": "put_policy", "apply-to": "exchanges", **policy})
        for name in ("plain", "named"):
            guest.publish(name, "nobody's", name, mandatory=True)
        assert (guest.bodies("rest"), guest.bodies("other"), guest.channel.returns) == (["plain"], ["named"], [])
        guest.publish("nobody", "rest", "lost", mandatory=True)  # not by the default exchange either
        assert guest.channel.returns == [(312, "NO_ROUTE", 1)]
        await guest.hall.tree.propose({"do": "clear_policy", "vhost": "/", "name": "p"})
        guest.publish("plain", "nobody's", "lost", mandatory=True)
        assert guest.channel.returns == [(312, "NO_ROUTE", 1)] * 2


async def test_a_random_exchange_chooses_anew_for_each_message(autojump_clock):
    async with visit("a", "b") as guest:
        await guest.hall.tree.propose({"do": "declare_exchange", "vhost": "/", "name": "x", "kind": "x-random"})
        for queue in ("a", "b"):
            await guest.hall.declarations.bind_queue(guest.client, queue, "x", "", {}, bind=True)
        bodies = [str(number) for number in range(60)]
        guest.publish("x", "k", *bodies)  # one run, with one method
        assert sorted(guest.bodies("a") + guest.bodies("b"), key=int) == bodies
        assert min(len(guest.bodies("a")), len(guest.bodies("b"))) > 15


async def test_a_consistent_hash_of_a_property_decides_message_by_message(autojump_clock):
    async with visit("a", "b") as guest:
        facts = {"name": "x", "kind": "x-consistent-hash", "arguments": {"hash-property": "message_id"}}
        await guest.hall.tree.propose({"do": "declare_exchange", "vhost": "/", **facts})
        for queue in ("a", "b"):
            await guest.hall.declarations.bind_queue(guest.client, queue, "x", "1", {}, bind=True)
        for number in [*range(30)] * 2:
            guest.publish("x", "k", f"{number}", message_id=f"{number}")
        found = [guest.bodies(queue) for queue in ("a", "b")]
        assert all(found)
        assert not set(found[0]) & set(found[1])
        assert sorted(map(int, found[0] + found[1])) == sorted([*range(30)] * 2)


async def test_arguments_of_bindings_keep_their_types(autojump_clock):
    async with visit("q") as guest:
        wanted = {"bytes": b"abc", "time": Timestamp(5), "decimal": Decimal("1.5")}
        bind = guest.hall.declarations.bind_queue
        await bind(guest.client, "q", "amq.headers", "", wanted, bind=True)
        guest.publish("amq.headers", "", "same", headers={**wanted, "bytes": "abc"})
        guest.publish("amq.headers", "", "other", headers={**wanted, "decimal": 1.5})
        assert guest.bodies("q") == ["same"]
        await bind(guest.client, "q", "amq.headers", "", wanted, bind=False)
        guest.publish("amq.headers", "", "late", headers=wanted)
        assert guest.bodies("q") == ["same"]


# ---------------------------------------------------------------------- consuming, through the door


async def test_a_channel_that_closes_gives_everything_back(autojump_clock):
    async with open_house() as house:
        client = await house.client(channels=(1, 2))
        await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        for body in (b"a", b"b"):
            client.connection.publish(1, "", "q", body)
        await client.ask(1, basic.BasicQos(prefetch_count=1), basic.BasicQosOk)
        await client.ask(1, basic.BasicConsume(queue="q"), basic.BasicConsumeOk)
        await client.deliveries(1)
        client.connection.call(1, basic.BasicGet(queue="q"))
        await client.expect(Content)
        await client.ask(1, ChannelClose(200), ChannelCloseOk)
        client.connection.call(2, basic.BasicGet(queue="q", no_ack=True))
        got = await client.expect(Content)
        assert body_of(got.content) == b"a"
        statistics = house.vhost.handles["q"].local.statistics()
        assert (statistics["messages_ready"], statistics["messages_unacked"], statistics["consumers"]) == (1, 0, 0)


async def test_what_a_cancelled_consumer_holds_it_may_still_answer(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        client.connection.publish(1, "", "q", b"a")
        await client.ask(1, basic.BasicConsume(queue="q", consumer_tag="c"), basic.BasicConsumeOk)
        ((tag, _),) = await client.deliveries(1)
        await client.ask(1, basic.BasicCancel("c"), basic.BasicCancelOk)
        await client.ask(1, basic.BasicCancel("unknown"), basic.BasicCancelOk)
        client.connection.call(1, basic.BasicReject(tag, requeue=True))
        await client.ask(1, basic.BasicConsume(queue="q", consumer_tag="c"), basic.BasicConsumeOk)
        ((tag, _),) = await client.deliveries(1)
        client.connection.call(1, basic.BasicAck(tag))
        assert (await client.ask(1, QueueDelete(queue="q"), QueueDeleteOk)).message_count == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            {"x-priority": "high"},
            "invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got longstr\"",
        ),
        (
            {"x-cancel-on-ha-failover": 1},
            "invalid arg 'x-cancel-on-ha-failover' for queue 'q' in vhost '/': {unacceptable_type,signedint}",
        ),
    ],
)
async def test_consumers_arguments_are_checked(autojump_clock, arguments, why):
    async with open_house() as house:
        client = await house.client()
        await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        closed = await client.ask(1, basic.BasicConsume(queue="q", arguments=arguments), ChannelClose)
        assert closed.reply_text == f"PRECONDITION_FAILED - {why}"


async def test_an_exclusive_consumer_is_alone(autojump_clock):
    async with open_house() as house:
        client = await house.client(channels=(1, 2))
        await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        await client.ask(1, basic.BasicConsume(queue="q", exclusive=True), basic.BasicConsumeOk)
        closed = await client.ask(2, basic.BasicConsume(queue="q"), ChannelClose)
        assert (closed.reply_code, closed.reply_text) == (
            403,
            "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
        )


async def test_an_auto_delete_queue_goes_with_its_last_consumer_and_takes_its_bindings_along(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await client.ask(1, QueueDeclare(queue="q", auto_delete=True), QueueDeclareOk)
        await client.ask(1, ExchangeDeclare(exchange="x", type="fanout", auto_delete=True), ExchangeDeclareOk)
        await client.ask(1, QueueBind(queue="q", exchange="x"), QueueBindOk)
        await client.ask(1, basic.BasicConsume(queue="q", consumer_tag="c"), basic.BasicConsumeOk)
        await client.ask(1, basic.BasicCancel("c"), basic.BasicCancelOk)
        assert "q" not in house.vhost.handles
        assert "x" not in house.vhost.graph


async def test_a_vhost_that_is_not_there_is_not_entered(autojump_clock):
    async with open_hall() as hall:
        with pytest.raises(ConnectionException, match="vhost nowhere not found"):
            hall.open_vhost(User("guest"), "nowhere", "c")


async def test_a_channel_forgets_what_it_had_of_queues_that_are_gone(autojump_clock):
    async with open_hall() as hall:
        vhost, channel = hall.catalogue.vhosts["/"], FakeChannel()
        for number in range(5):
            await hall.declarations.declare_plain("/", f"q{number}")
            handle = vhost.handle(f"q{number}")
            vhost._fetcher(channel, handle)
            await hall.declarations.delete_unused(handle, handle.record.term)
        assert (len(vhost._holders[channel]), len(vhost._fetchers)) == (1, 1)


async def test_what_a_channel_asked_for_goes_back_if_it_was_closed_meanwhile(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        client.connection.publish(1, "", "q", b"x")
        await client.ask(1, basic.BasicQos(), basic.BasicQosOk)
        handle = house.vhost.handles["q"]
        (session,) = house.door.sessions
        channel = session.connection.channels[1]
        await house.vhost.consume(
            session.client,
            channel,
            "q",
            "t",
            no_ack=False,
            exclusive=False,
            arguments={},
            ready=lambda: session.connection.fail_channel(channel, ChannelException(406, "enough")),
        )
        assert not handle.subscriptions
        assert len(handle.local.queue.consumers) == 0
        await house.vhost.get(session.client, channel, "q", no_ack=False)
        assert handle.local.queue.messages_ready == 1
        assert channel not in house.vhost._holders
        assert not house.vhost._fetchers


class AskedQueue:
    """A handle that notes its answers."""

    def __init__(self):
        self.answers = []

    def settle(self, holder, what, first, last):
        self.answers.append((what, first, last))


async def test_a_queue_is_answered_for_neighbours_at_once():
    one, other = AskedQueue(), AskedQueue()
    mine, second, theirs = Fetcher(one, 1), Fetcher(one, 2), Fetcher(other, 3)
    async with open_hall() as hall:
        Visit(hall).vhost.requeue(
            [(mine, 1, 2), (mine, 3, 3), (second, 4, 4), (mine, 5, 5), (mine, 7, 7), (theirs, 8, 8), (theirs, 9, 20)]
        )
    assert [pair[1:] for pair in one.answers] == [(1, 3), (4, 4), (5, 5), (7, 7)]
    assert [pair[1:] for pair in other.answers] == [(8, 20)]
