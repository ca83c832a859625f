"""Direct reply-to through the real door: on one node, and across nodes in virtual time."""

import pytest

from broker.vhosts.replies import ADDRESS_PREFIX
from broker.wire import basic_methods as basic
from broker.wire import methods
from broker.wire.content import body_of
from broker.wire.events import Acks, Content, Delivered
from broker.wire.methods import ChannelClose, ChannelCloseOk, ChannelOpen, ChannelOpenOk, QueueDeclare, QueueDeclareOk
from broker.wire.properties import REPLY_TO, Properties
from tests.vhosts.door import open_house
from tests.vhosts.halls import open_cluster


async def consume(talker, queue=REPLY_TO, channel=1, tag="t", **flags):
    flags = {"no_ack": True, **flags}
    await talker.ask(channel, basic.BasicConsume(queue=queue, consumer_tag=tag, **flags), basic.BasicConsumeOk)


async def ask(talker, server, question, channel=1):
    """Publish a question to the server's queue; the reply-to that the server sees."""
    talker.connection.publish(channel, "", "server", question, Properties(reply_to=REPLY_TO, correlation_id="7"))
    await talker.flush()
    event = await server.expect(Delivered)
    assert [body_of(content) for content in event.contents] == [question]
    properties = Properties.of(event.contents[0])
    assert properties.correlation_id == "7"
    return properties.reply_to


async def serve(server):
    await server.ask(1, QueueDeclare(queue="server"), QueueDeclareOk)
    await consume(server, "server")


async def answers(talker, *bodies):
    """These are the next deliveries."""
    assert [body_of(content) for _tag, content in await talker.deliveries(len(bodies))] == list(bodies)


async def refusal(talker, method, channel=1):
    """Code and text of the refusal; the channel is open again afterwards."""
    talker.connection.call(channel, method)
    close = await talker.expect(ChannelClose)
    await talker.ask(channel, ChannelOpen(), ChannelOpenOk)
    return close.reply_code, close.reply_text


async def test_answers_reach_the_channel_that_asked(autojump_clock):
    async with open_house() as house:
        server, caller = await house.client(), await house.client((1, 2))
        await serve(server)
        await consume(caller)
        await consume(caller, channel=2)
        address = await ask(caller, server, b"what?")
        other = await ask(caller, server, b"and you?", channel=2)
        assert address.startswith(ADDRESS_PREFIX)
        assert other != address
        server.connection.publish(1, "", address, b"this")
        server.connection.publish(1, "", address, b"and that")
        await server.flush()
        for body in (b"this", b"and that"):
            event = await caller.expect(Delivered)
            assert (event.channel, [body_of(content) for content in event.contents]) == (1, [body])
            assert event.address == bytes([0, len(address)]) + address.encode()


async def test_answers_reach_other_nodes_and_nobody_waits_for_a_turn_of_calls(autojump_clock):
    async with open_cluster(2) as cluster:
        server, caller = await cluster.nodes["n1"].client(), await cluster.nodes["n2"].client()
        await serve(server)
        await consume(caller)
        address = await ask(caller, server, b"what?")
        assert address.startswith(ADDRESS_PREFIX + "n2.1.")
        for number in range(3):
            server.connection.publish(1, "", address, b"%d" % number, Properties(headers={"CC": []}))
        await server.flush()
        await answers(caller, b"0", b"1", b"2")
        found = await server.ask(1, QueueDeclare(queue=address, passive=True), QueueDeclareOk)
        assert (found.queue, found.message_count, found.consumer_count) == (address, 0, 1)
        await caller.ask(1, basic.BasicCancel("t"), basic.BasicCancelOk)
        assert await refusal(server, QueueDeclare(queue=address)) == (
            404,
            f"NOT_FOUND - no queue '{address}' in vhost '/'",
        )


async def test_an_answer_for_nobody_is_dropped_and_a_dead_node_is_not_asked(autojump_clock):
    async with open_cluster(2) as cluster:
        server, caller = await cluster.nodes["n1"].client(), await cluster.nodes["n2"].client()
        await serve(server)
        await consume(caller)
        address = await ask(caller, server, b"what?")
        cluster.kill("n2")
        await server.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        for key in (address, ADDRESS_PREFIX + "n9.1.x", ADDRESS_PREFIX, ADDRESS_PREFIX + "n1"):
            server.connection.publish(1, "", key, b"late")
        await server.flush()
        confirmed = 0
        while confirmed < 4:
            confirmed = (await server.expect(Acks)).last_tag
        assert (await refusal(server, QueueDeclare(queue=address)))[0] == 404


async def test_a_channel_waits_once_and_acknowledges_nothing(autojump_clock):
    async with open_house() as house:
        caller = await house.client()
        wanted = basic.BasicConsume(queue=REPLY_TO, consumer_tag="t")
        refused = 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge"
        assert await refusal(caller, wanted) == refused
        await consume(caller, exclusive=True, arguments={"x-priority": "none"})
        again = basic.BasicConsume(queue=REPLY_TO, consumer_tag="t", no_ack=True)
        assert await refusal(caller, again) == (406, "PRECONDITION_FAILED - reply consumer already set")
        await consume(caller)
        assert await refusal(caller, wanted) == refused


async def test_who_does_not_wait_cannot_ask(autojump_clock):
    async with open_house() as house:
        caller = await house.client((1, 2))
        await consume(caller, channel=2)
        why = "PRECONDITION_FAILED - fast reply consumer does not exist"
        caller.connection.publish(1, "", "nowhere", b"?", Properties(reply_to=REPLY_TO))
        close = await caller.expect(ChannelClose)
        assert (close.reply_code, close.reply_text) == (406, why)
        await caller.ask(1, ChannelOpen(), ChannelOpenOk)
        await caller.ask(1, basic.TxSelect(), basic.TxSelectOk)
        caller.connection.publish(1, "", "nowhere", b"?", Properties(reply_to=REPLY_TO))
        close = await caller.expect(ChannelClose)
        assert (close.reply_code, close.reply_text) == (406, why)


async def test_the_address_ends_with_the_consumer(autojump_clock):
    async with open_house() as house:
        server, caller = await house.client(), await house.client()
        await serve(server)
        await consume(caller)
        first = await ask(caller, server, b"1")
        await caller.ask(1, basic.BasicCancel("t"), basic.BasicCancelOk)
        await consume(caller)
        second = await ask(caller, server, b"2")
        assert first != second
        server.connection.publish(1, "", first, b"to the first")
        server.connection.publish(1, "", second, b"to the second")
        await server.flush()
        await answers(caller, b"to the second")
        await caller.ask(1, methods.ChannelClose(200, "bye", 0, 0), ChannelCloseOk)
        assert not house.hall.replies._by_address
        assert not house.hall.replies._by_channel


async def test_no_queue_has_an_answer_so_mandatory_ones_come_back_though_delivered(autojump_clock):
    async with open_house() as house:
        server, caller = await house.client(), await house.client()
        await serve(server)
        await consume(caller)
        address = await ask(caller, server, b"what?")
        await server.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        server.connection.publish(1, "", address, b"this", mandatory=True)
        returned = await server.expect(Content)
        assert returned.payload.startswith(b"\x01\x38\x08NO_ROUTE")
        await server.confirmed(1)
        await answers(caller, b"this")


async def test_copies_may_be_addressed_too(autojump_clock):
    async with open_house() as house:
        server, caller = await house.client(), await house.client()
        await serve(server)
        await consume(caller)
        address = await ask(caller, server, b"what?")
        server.connection.publish(1, "", "elsewhere", b"this", Properties(headers={"BCC": [address]}))
        await server.flush()
        await answers(caller, b"this")


@pytest.mark.parametrize("passive", [True, False])
async def test_the_names_are_no_queues_but_can_be_asked_for(autojump_clock, passive):
    async with open_house() as house:
        client = await house.client()
        found = await client.ask(1, QueueDeclare(queue=REPLY_TO, passive=passive), QueueDeclareOk)
        assert (found.queue, found.message_count, found.consumer_count) == (REPLY_TO, 0, 1)
        for name in (REPLY_TO + "x", ADDRESS_PREFIX + "n1.1.x", ADDRESS_PREFIX + "n7.1.x", ADDRESS_PREFIX):
            refused = await refusal(client, QueueDeclare(queue=name, passive=passive))
            assert refused == (404, f"NOT_FOUND - no queue '{name}' in vhost '/'")
        for method in (basic.BasicGet(queue=REPLY_TO), methods.QueuePurge(queue=REPLY_TO)):
            refused = await refusal(client, method)
            assert refused == (404, f"NOT_FOUND - no queue '{REPLY_TO}' in vhost '/'")


@pytest.mark.parametrize("letter", ["x", "ü"])
async def test_what_is_too_long_for_an_address_is_nobodys(autojump_clock, letter):
    async with open_house() as house:
        talker = await house.client()
        far = ADDRESS_PREFIX + letter * 200
        talker.connection.publish(1, "", "", b"this", Properties(headers={"CC": [far, far * 2]}))
        await talker.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
