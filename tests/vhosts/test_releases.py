"""Delayed exchanges through the door: who waits, when it goes on, and what it looks like then."""

from contextlib import asynccontextmanager

import pytest
import trio

from broker.cluster import schema
from broker.queues.dead_letter import DeadLetter
from broker.routing.delayed import delay_queue
from broker.vhosts.releases import Releases
from broker.wire import basic_methods as basic
from broker.wire import methods
from broker.wire.content import body_of, make_content
from broker.wire.events import Content
from broker.wire.message import Run, make_address
from broker.wire.properties import Properties, headers_of, traits_of
from tests.vhosts.door import open_house
from tests.vhosts.fakes import FakeSource, FakeTarget
from tests.vhosts.halls import open_cluster

DELAYED = {"x-delayed-type": "direct"}


class Guest:
    """A client of one house."""

    def __init__(self, house, client):
        self.house = house
        self.client = client

    async def exchange(self, name, kind="x-delayed-message", **facts):
        await self.client.ask(1, methods.ExchangeDeclare(exchange=name, type=kind, **facts), methods.ExchangeDeclareOk)

    async def queue(self, name, *sources):
        await self.client.ask(1, methods.QueueDeclare(queue=name), methods.QueueDeclareOk)
        for source in sources:
            bind = methods.QueueBind(queue=name, exchange=source, routing_key="k")
            await self.client.ask(1, bind, methods.QueueBindOk)

    async def publish(self, body, *, exchange="late", mandatory=False, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        properties = Properties(headers=headers)
        self.client.connection.publish(1, exchange, "k", body.encode(), properties, mandatory=mandatory)
        await self.client.flush()

    async def bodies(self, queue="q"):
        """What is there now, taken out, with its headers."""
        found = []
        while True:
            self.client.connection.call(1, basic.BasicGet(queue=queue, no_ack=True))
            _, event = await self.client.listen()
            if not isinstance(event, Content):
                assert isinstance(event, basic.BasicGetEmpty)
                return found
            found.append((body_of(event.content).decode(), headers_of(event.content)))

    def waiting(self):
        """The queue behind the exchange."""
        (handle,) = [one for one in self.house.hall.catalogue.handles.values() if one.record.delays]
        return handle.local.queue

    async def refused(self, method):
        """Code and text of the refusal, of the channel or the connection."""
        self.client.connection.call(1, method)
        _, closed = await self.client.listen()
        return closed.reply_code, closed.reply_text


@asynccontextmanager
async def guest_of(**facts):
    async with open_house() as house:
        guest = Guest(house, await house.client())
        await guest.exchange("late", arguments={**DELAYED, **facts})
        await guest.queue("q", "late")
        yield guest


async def test_who_asks_for_a_delay_waits_and_the_shorter_one_goes_first(autojump_clock):
    async with guest_of() as guest:
        for delay in (500, 100, 300, 200, 100):
            await guest.publish(f"{delay}", x_delay=delay)
        await guest.publish("at once")
        await guest.publish("zero", x_delay=0)
        await guest.publish("past", x_delay=-7)
        assert await guest.bodies() == [("at once", {}), ("zero", {"x-delay": 0}), ("past", {"x-delay": -7})]
        await trio.sleep(0.09)
        assert await guest.bodies() == []
        await trio.sleep(0.02)
        assert await guest.bodies() == [("100", {"x-delay": -100})] * 2
        await trio.sleep(0.5)
        assert [body for body, _ in await guest.bodies()] == ["200", "300", "500"]
        assert guest.waiting().statistics()["messages"] == guest.waiting().statistics()["messages_dying"] == 0


async def test_it_is_routed_by_what_is_bound_when_it_is_due(autojump_clock):
    async with guest_of() as guest:
        await guest.publish("a", x_delay=50)
        unbind = methods.QueueUnbind(queue="q", exchange="late", routing_key="k")
        await guest.client.ask(1, unbind, methods.QueueUnbindOk)
        await guest.queue("other", "late")
        await trio.sleep(0.1)
        assert await guest.bodies() == []
        assert [body for body, _ in await guest.bodies("other")] == ["a"]


async def test_what_leads_nowhere_when_it_is_due_goes_to_the_alternate_or_is_gone(autojump_clock):
    async with guest_of(**{"alternate-exchange": "amq.fanout"}) as guest:
        unbind = methods.QueueUnbind(queue="q", exchange="late", routing_key="k")
        await guest.client.ask(1, unbind, methods.QueueUnbindOk)
        await guest.publish("lost", x_delay=10)
        await trio.sleep(0.1)
        assert guest.waiting().statistics()["messages"] == guest.waiting().statistics()["messages_dying"] == 0
        await guest.queue("q", "amq.fanout")
        await guest.publish("found", x_delay=10)
        assert await guest.bodies() == []
        await trio.sleep(0.1)
        assert [body for body, _ in await guest.bodies()] == ["found"]


async def test_hidden_keys_are_kept_for_the_routing_and_from_the_readers(autojump_clock):
    async with guest_of() as guest:
        for name, key in (("copy", "c"), ("blind", "b")):
            await guest.client.ask(1, methods.QueueDeclare(queue=name), methods.QueueDeclareOk)
            bind = methods.QueueBind(queue=name, exchange="late", routing_key=key)
            await guest.client.ask(1, bind, methods.QueueBindOk)
        await guest.publish("a", x_delay=20, CC=["c"], BCC=["b"])
        await trio.sleep(0.1)
        for queue in ("q", "copy", "blind"):
            assert await guest.bodies(queue) == [("a", {"x-delay": -20, "CC": ["c"]})]


async def test_it_waits_where_it_comes_by_another_exchange_and_keeps_its_address(autojump_clock):
    async with guest_of() as guest:
        await guest.exchange("first", "fanout")
        bind = methods.ExchangeBind(destination="late", source="first")
        await guest.client.ask(1, bind, methods.ExchangeBindOk)
        await guest.queue("now", "first")
        await guest.publish("a", exchange="first", x_delay=20, BCC=["x"])
        assert await guest.bodies("now") == [("a", {"x-delay": 20})]
        assert await guest.bodies() == []
        await trio.sleep(0.1)
        guest.client.connection.call(1, basic.BasicGet(queue="q", no_ack=True))
        got = await guest.client.content()
        assert basic.BasicGetOk.decode(got.payload).exchange == "first"
        assert headers_of(got.content) == {"x-delay": -20}


async def test_a_delayed_message_is_confirmed_and_not_returned(autojump_clock):
    async with guest_of() as guest:
        await guest.client.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        await guest.publish("a", mandatory=True, x_delay=20)
        await guest.client.confirmed(1)
        await guest.publish("a", mandatory=True)
        await guest.client.confirmed(2)


async def test_clients_cannot_find_the_queue_behind_it(autojump_clock):
    hidden = "amq.delayed.late"
    nowhere = f"NOT_FOUND - no queue '{hidden}' in vhost '/'"
    attempts = [
        (methods.QueueDeclare(queue=hidden, passive=True), (404, nowhere)),
        (basic.BasicGet(queue=hidden), (404, nowhere)),
        (basic.BasicConsume(queue=hidden), (404, nowhere)),
        (methods.QueuePurge(queue=hidden), (404, nowhere)),
        (methods.QueueBind(queue=hidden, exchange="amq.fanout"), (404, nowhere)),
        (
            methods.QueueDeclare(queue=hidden),
            (403, f"ACCESS_REFUSED - queue name '{hidden}' contains reserved prefix 'amq.*'"),
        ),
    ]
    async with guest_of() as guest:
        for method, refusal in attempts:
            assert await guest.refused(method) == refusal
            await guest.client.ask(1, methods.ChannelOpen(), methods.ChannelOpenOk)
        deleted = await guest.client.ask(1, methods.QueueDelete(queue=hidden), methods.QueueDeleteOk)
        assert deleted.message_count == 0
        assert guest.waiting() is not None
        tree = guest.house.hall.tree.tree
        assert [record.name for record in schema.queues(tree, "/")] == ["q"]
        guest.client.connection.publish(1, "", hidden, b"", mandatory=True)
        returned = await guest.client.content()
        assert basic.BasicReturn.decode(returned.payload).reply_code == 312


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({}, (406, "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type")),
        (
            {"x-delayed-type": "x-delayed-message"},
            (406, "PRECONDITION_FAILED - Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'"),
        ),
        ({"x-delayed-type": "nosuch"}, (503, "COMMAND_INVALID - unknown exchange type 'nosuch'")),
    ],
)
async def test_it_needs_another_kind(autojump_clock, arguments, refusal):
    async with guest_of() as guest:
        declare = methods.ExchangeDeclare(exchange="x", type="x-delayed-message", arguments=arguments)
        assert await guest.refused(declare) == refusal


async def test_the_exchange_takes_what_waits_along(autojump_clock):
    async with guest_of() as guest:
        await guest.exchange("late", arguments=DELAYED)  # the same again: nothing new
        await guest.publish("a", x_delay=20)
        await guest.client.ask(1, methods.ExchangeDelete(exchange="late"), methods.ExchangeDeleteOk)
        assert list(schema.all_queues(guest.house.hall.tree.tree, "/")) == list(
            schema.queues(guest.house.hall.tree.tree, "/")
        )
        await guest.exchange("late", arguments=DELAYED)
        await guest.queue("q", "late")
        await trio.sleep(0.1)
        assert await guest.bodies() == []
        await guest.publish("b", x_delay=20)
        await trio.sleep(0.1)
        assert [body for body, _ in await guest.bodies()] == ["b"]


async def test_many_that_are_due_together_keep_their_order(autojump_clock):
    async with guest_of() as guest:
        for number in range(600):
            guest.client.connection.publish(1, "late", "k", b"%d" % number, Properties(headers={"x-delay": 50}))
        await guest.client.flush()
        await trio.sleep(0.2)
        assert [int(body) for body, _ in await guest.bodies()] == list(range(600))


async def test_what_waits_goes_on_from_the_mirror_when_the_master_dies(autojump_clock):
    async with open_cluster(2) as cluster:
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        at_one, at_two = await cluster.nodes["n1"].client(), await cluster.nodes["n2"].client()
        declare = methods.ExchangeDeclare(exchange="late", type="x-delayed-message", durable=True, arguments=DELAYED)
        await at_one.ask(1, declare, methods.ExchangeDeclareOk)
        await at_two.ask(1, methods.QueueDeclare(queue="q", durable=True), methods.QueueDeclareOk)
        bind = methods.QueueBind(queue="q", exchange="late", routing_key="k")
        await at_two.ask(1, bind, methods.QueueBindOk)
        await cluster.until_in_sync(delay_queue("late"), "n1", "n2")
        await at_two.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        began = trio.current_time()
        for delay in (3000, 2000, 2000):
            properties = Properties(headers={"x-delay": delay}, delivery_mode=2)
            at_two.connection.publish(1, "late", "k", b"%d" % delay, properties)
        await at_two.confirmed(3)
        await trio.sleep(1)
        cluster.kill("n1")
        await at_two.ask(1, basic.BasicConsume(queue="q", no_ack=True), basic.BasicConsumeOk)
        for upto, body in ((2, b"2000"), (1, b"3000")):
            found = await at_two.deliveries(upto)
            assert {body_of(content) for _, content in found} == {body}
            assert trio.current_time() - began == pytest.approx(int(body) / 1000, abs=0.1)


def test_the_queue_forgets_each_message_when_every_target_has_it_safe():
    one, two, source = FakeTarget(), FakeTarget(), FakeSource()
    contents = [make_content(1, Properties(headers={"x-delay": delay}), b"a", 4096) for delay in (5, 6)]
    due = DeadLetter(
        "delayed", Run(contents, make_address("first", "k"), traits_of(contents[0]), first=8), "late", None
    )
    asked = []

    def route(*question):
        asked.append(question[:3])
        return [one, two]

    Releases("late", route).send(source, due)
    assert asked == [("late", "k", {"x-delay": -5}), ("late", "k", {"x-delay": -6})]
    assert source.forgotten == []
    for _, pending in (one.got[1], two.got[1], two.got[0]):
        pending.answer()
    assert source.forgotten == [(9, 9)]
    one.got[0][1].answer()
    assert source.forgotten == [(9, 9), (8, 8)]


def test_a_message_with_no_way_on_is_forgotten_at_once():
    source = FakeSource()
    content = make_content(1, Properties(headers={"x-delay": 5}), b"a", 4096)
    run = Run([content], make_address("late", "k"), traits_of(content), first=8)
    Releases("late", lambda *_: []).send(source, DeadLetter("delayed", run, "late", None))
    assert source.forgotten == [(8, 8)]


LATER = (8, 8, make_address("late", "k"))


def one_that_is_due():
    content = make_content(1, Properties(headers={"x-delay": 5}), b"a", 4096)
    return DeadLetter("delayed", Run([content], make_address("late", "k"), traits_of(content), first=8), "late", None)


def test_a_message_waits_on_while_a_target_has_no_master():
    one, two, source = FakeTarget(), FakeTarget("away", "waiting"), FakeSource()
    Releases("late", lambda *_: [one, two]).send(source, one_that_is_due())
    assert (source.kept, source.forgotten, one.got) == ([LATER], [], [])


def test_a_target_that_loses_its_master_gets_the_message_later_and_a_full_one_never():
    for state, kept, forgotten in (("unavailable", [LATER], []), ("running", [], [(8, 8)])):
        target, source = FakeTarget(), FakeSource()
        Releases("late", lambda *_, target=target: [target]).send(source, one_that_is_due())
        target.state = state
        pending = target.got[0][1]
        pending.refuse(0, 1)
        pending.answer()
        assert (source.kept, source.forgotten) == (kept, forgotten)
