"""What a node counts of its clients' doings: through the door, as RabbitMQ counts the same."""

import pytest

from broker.meters.meters import AMQP
from broker.meters.traffic import Flow
from broker.wire import basic_methods as basic
from broker.wire import methods
from broker.wire.events import Content
from broker.wire.properties import Properties
from tests.vhosts.door import open_house
from tests.vhosts.halls import Node, open_cluster


class Counter:
    """Says what has grown since it was asked last."""

    def __init__(self, house):
        self._house = house
        self._before = self._look()

    def _look(self):
        flow = self._house.hall.meters.traffic[AMQP].flow
        found = {name: getattr(flow, name) for name in Flow.__slots__ if not name.startswith("_")}
        for kind in "classic", "quorum":
            deliveries = flow.deliveries(kind)
            found |= {f"{kind}.{name}": getattr(deliveries, name) for name in deliveries.__slots__}
        return found

    def grown(self):
        before, self._before = self._before, self._look()
        return {name: value - before[name] for name, value in self._before.items() if value != before[name]}


async def declared(client, *names, **arguments):
    for name in names:
        await client.ask(1, methods.QueueDeclare(queue=name, arguments=arguments), methods.QueueDeclareOk)


async def test_publishes_are_counted_by_where_they_go(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await declared(client, "a", "b")
        await client.ask(1, methods.QueueBind(queue="a", exchange="amq.fanout"), methods.QueueBindOk)
        await client.ask(1, methods.QueueBind(queue="b", exchange="amq.fanout"), methods.QueueBindOk)
        counter = Counter(house)
        client.connection.publish(1, "amq.fanout", "", b"x")
        client.connection.publish(1, "", "a", b"x")
        client.connection.publish(1, "", "nowhere", b"x")
        client.connection.publish(1, "", "nowhere", b"x", mandatory=True)
        await client.content()
        unroutable = {"unroutable_dropped": 1, "unroutable_returned": 1}
        assert counter.grown() == {"received": 4, "routed": 3, **unroutable}


async def test_short_runs_that_are_gathered_count_as_any(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await declared(client, "a", "b")
        counter = Counter(house)
        for name in "a", "b", "a", "b", "a":
            client.connection.publish(1, "", name, b"x")
        await declared(client, "a")
        assert counter.grown() == {"received": 5, "routed": 5}


async def test_confirms_are_counted_and_timed(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await declared(client, "a")
        await client.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        counter = Counter(house)
        for _ in range(3):
            client.connection.publish(1, "", "a", b"x", Properties(delivery_mode=2))
        client.connection.publish(1, "", "nowhere", b"x")
        await client.confirmed(4)
        assert counter.grown() == {
            "received": 4,
            "received_confirm": 4,
            "confirmed": 4,
            "routed": 3,
            "unroutable_dropped": 1,
        }
        assert house.hall.meters.traffic[AMQP].confirm_s.count == 4


async def test_refused_publishes_are_not_confirmed(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await declared(client, "a", **{"x-max-length": 1, "x-overflow": "reject-publish"})
        await client.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        counter = Counter(house)
        client.connection.publish(1, "", "a", b"x")
        await client.confirmed(1)
        client.connection.publish(1, "", "a", b"x")
        await client.expect(basic.BasicNack)
        assert counter.grown() == {"received": 2, "received_confirm": 2, "confirmed": 1, "routed": 2}


async def test_a_transaction_is_counted_when_it_is_committed(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await declared(client, "a")
        await client.ask(1, basic.TxSelect(), basic.TxSelectOk)
        counter = Counter(house)
        client.connection.publish(1, "", "a", b"x")
        await declared(client, "a")
        assert counter.grown() == {}
        await client.ask(1, basic.TxCommit(), basic.TxCommitOk)
        assert counter.grown() == {"received": 1, "routed": 1}


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_deliveries_and_answers(autojump_clock, kind):
    durable = {"x-queue-type": kind}
    async with open_house() as house:
        client = await house.client((1, 2))
        await client.ask(1, methods.QueueDeclare(queue="q", durable=True, arguments=durable), methods.QueueDeclareOk)
        for _ in range(4):
            client.connection.publish(1, "", "q", b"x")
        counter = Counter(house)
        await client.ask(1, basic.BasicGet(queue="q"), Content)
        client.connection.call(1, basic.BasicReject(1, requeue=True))
        await client.ask(1, basic.BasicGet(queue="q", no_ack=True), Content)
        grown = counter.grown()
        grown.pop("received", None), grown.pop("routed", None)
        assert grown == {f"{kind}.got_manual_ack": 1, f"{kind}.got_auto_ack": 1, f"{kind}.redelivered": 1}
        await client.ask(1, basic.BasicConsume(queue="q", consumer_tag="c"), basic.BasicConsumeOk)
        await client.deliveries(3)
        client.connection.call(1, basic.BasicAck(4, multiple=True))
        await client.ask(1, basic.BasicCancel("c"), basic.BasicCancelOk)
        assert counter.grown() == {f"{kind}.consumed_manual_ack": 3, f"{kind}.acknowledged": 2}
        await client.ask(2, basic.BasicGet(queue="q"), basic.BasicGetEmpty)
        assert counter.grown() == {f"{kind}.get_empty": 1}
        await client.ask(1, methods.ChannelClose(200, "", 0, 0), methods.ChannelCloseOk)
        await client.ask(2, basic.BasicConsume(queue="q", no_ack=True), basic.BasicConsumeOk)
        await client.deliveries(1)
        assert counter.grown() == {f"{kind}.consumed_auto_ack": 1, f"{kind}.redelivered": 1}


async def test_who_comes_and_goes(autojump_clock):
    async with open_house() as house:
        meters = house.hall.meters
        client = await house.client((1, 2))
        other = await house.client()
        traffic, churn = meters.traffic[AMQP], meters.churn
        assert (churn.connections_opened, churn.connections_closed, traffic.channels_opened) == (2, 0, 3)
        assert (meters.logins[AMQP].accepted, meters.logins[AMQP].refused) == (2, 0)
        await client.ask(1, methods.ChannelClose(200, "", 0, 0), methods.ChannelCloseOk)
        assert (traffic.channels_closed, len(traffic.channels)) == (1, 2)
        other.stream.close_now()
        client.connection.call(0, methods.ConnectionClose(200, "", 0, 0))
        await client.expect(methods.ConnectionCloseOk)
        await house.hall.roster.until_empty()
        assert (churn.connections_closed, traffic.channels_closed, len(traffic.channels)) == (2, 3, 0)


async def test_queues_that_come_and_go(autojump_clock):
    async with open_house() as house:
        churn = house.hall.meters.churn
        client = await house.client()
        await declared(client, "a", "b")
        await declared(client, "a")
        await client.ask(1, methods.QueueDeclare(queue="a", passive=True), methods.QueueDeclareOk)
        assert (churn.queues_declared, churn.queues_created, churn.queues_deleted) == (3, 2, 0)
        await client.ask(1, methods.QueueDelete(queue="a"), methods.QueueDeleteOk)
        await client.ask(1, methods.QueueDelete(queue="a"), methods.QueueDeleteOk)
        assert (churn.queues_declared, churn.queues_created, churn.queues_deleted) == (3, 2, 1)


async def test_what_a_new_life_finds_was_not_created_by_it(autojump_clock, nursery):
    async with open_cluster() as cluster:
        await cluster.nodes["n1"].hall.declarations.declare_plain("/", "q")
        assert cluster.nodes["n1"].hall.meters.churn.queues_created == 1
        assert cluster.nodes["n2"].hall.meters.churn.queues_created == 0
        cluster.kill("n1")
        cluster.decree.decide(do="register_life", node="n1", life=2, folder="fn1")
        again = Node(cluster, "n1", 2)
        await nursery.start(again.run)
        assert cluster.queue("q").master.number == 2
        assert again.handle("q").local is not None
        assert again.hall.meters.churn.queues_created == 0


async def test_publishers_and_consumers_are_those_of_open_channels(autojump_clock):
    async with open_house() as house:
        traffic = house.hall.meters.traffic[AMQP]
        client = await house.client((1, 2))
        await declared(client, "a")
        await client.ask(2, basic.BasicConsume(queue="a", no_ack=True), basic.BasicConsumeOk)
        client.connection.publish(1, "", "a", b"x")
        await client.deliveries(1)
        assert (traffic.publishers, traffic.consumers) == (1, 1)
        await client.ask(1, methods.ChannelClose(200, "", 0, 0), methods.ChannelCloseOk)
        assert (traffic.publishers, traffic.consumers) == (0, 1)
