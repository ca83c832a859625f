import pytest
import trio
import trio.testing

from broker.wire import methods
from broker.wire.basic_methods import (
    BasicAck,
    BasicCancel,
    BasicCancelOk,
    BasicConsume,
    BasicConsumeOk,
    BasicGet,
    BasicGetEmpty,
    BasicNack,
    BasicQos,
    BasicQosOk,
    BasicRecover,
    BasicRecoverOk,
    BasicReject,
    ConfirmSelect,
    ConfirmSelectOk,
    TxCommit,
    TxCommitOk,
    TxRollback,
    TxRollbackOk,
    TxSelect,
    TxSelectOk,
)
from broker.wire.content import body_of
from broker.wire.events import Content
from tests.server.fakes import declared, world


async def test_a_message_goes_in_and_out():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        await talker.ask(1, BasicConsume(queue="q", consumer_tag="c"), BasicConsumeOk)
        talker.connection.publish(1, "", "q", b"hello")
        ((tag, content),) = await talker.deliveries(1)
        assert (tag, body_of(content)) == (1, b"hello")
        talker.connection.call(1, BasicAck(1))
        await talker.ask(1, methods.ChannelClose(200), methods.ChannelCloseOk)
        assert house.vhost.queues["q"].log == [("settle", 1, 1)]
        await talker.ask(0, methods.ConnectionClose(200), methods.ConnectionCloseOk)
        assert house.hall.closed_clients == 1


async def test_consume_ok_comes_before_the_backlog_even_if_nobody_asked_for_names():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        for i in range(50):
            talker.connection.publish(1, "", "q", b"%d" % i)
        ok = await talker.ask(1, BasicConsume(queue=""), BasicConsumeOk)
        assert ok.consumer_tag.startswith("amq.ctag-")
        assert [body_of(content) for _, content in await talker.deliveries(50)] == [b"%d" % i for i in range(50)]


async def test_everything_of_one_turn_leaves_in_one_write():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        await talker.ask(1, ConfirmSelect(), ConfirmSelectOk)
        writes = []
        writer = house.sessions[0].writer
        take = writer._take
        writer._take = lambda: writes.append(take()) or writes[-1]
        for _ in range(100):
            talker.connection.publish(1, "", "q", b"x")
        ack = await talker.confirmed(100)
        assert ack.multiple
        assert len([data for data in writes if data]) == 1


async def test_a_starved_consumer_is_woken_when_its_outbox_has_drained():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        for i in range(200):
            talker.connection.publish(1, "", "q", b"%03d" % i + b"x" * 1000)
        await talker.ask(1, BasicConsume(queue="q", no_ack=True), BasicConsumeOk)
        assert [body_of(content)[:3] for _, content in await talker.deliveries(200)] == [
            b"%03d" % i for i in range(200)
        ]


async def test_a_returned_message_comes_before_its_confirm():
    async with world() as house:
        talker = await house.connect().open()
        await talker.ask(1, ConfirmSelect(), ConfirmSelectOk)
        talker.connection.publish(1, "", "nowhere", b"lost", mandatory=True)
        returned = await talker.content()
        assert (returned.method_id, body_of(returned.content)) == (50, b"lost")
        await talker.confirmed(1)


async def test_a_channel_error_closes_one_channel_and_its_work():
    async with world() as house:
        talker = await house.connect().open(channels=(1, 2))
        talker.connection.publish(1, "nowhere", "q", b"lost")
        talker.connection.publish(1, "nowhere", "q", b"ignored")
        close = await talker.expect(methods.ChannelClose)
        assert (close.reply_code, close.reply_text) == (404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'")
        assert (close.failed_class_id, close.failed_method_id) == (60, 40)
        await talker.ask(2, BasicQos(prefetch_count=1), BasicQosOk)
        assert house.vhost.closed_channels == [1]
        await talker.ask(1, methods.ChannelOpen(), methods.ChannelOpenOk)


@pytest.mark.parametrize(
    ("method", "code", "text"),
    [
        (BasicQos(prefetch_size=1), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)"),
        (methods.ChannelFlow(active=False), 540, "NOT_IMPLEMENTED - active=false"),
        (BasicRecover(requeue=False), 540, "NOT_IMPLEMENTED - requeue=false"),
        (methods.QueueDeclareOk(queue="q"), 503, "COMMAND_INVALID - unimplemented method"),
        (methods.ChannelOpen(), 504, "CHANNEL_ERROR - second 'channel.open' seen"),
    ],
)
async def test_a_connection_error_closes_the_connection(method, code, text):
    async with world() as house:
        talker = await house.connect().open()
        talker.connection.call(1, method)
        close = await talker.expect(methods.ConnectionClose)
        assert (close.reply_code, close.reply_text) == (code, text)
        await talker.ended()
        assert house.hall.closed_clients == 1
        assert not house.door.sessions


@pytest.mark.parametrize(
    ("method", "code", "text"),
    [
        (BasicAck(7), 406, "PRECONDITION_FAILED - unknown delivery tag 7"),
        (BasicReject(7), 406, "PRECONDITION_FAILED - unknown delivery tag 7"),
        (BasicGet(queue=""), 404, "NOT_FOUND - no previously declared queue"),
        (BasicGet(queue="none"), 404, "NOT_FOUND - no queue 'none' in vhost '/'"),
        (TxCommit(), 406, "PRECONDITION_FAILED - channel is not transactional"),
    ],
)
async def test_a_clients_mistake_closes_the_channel(method, code, text):
    async with world() as house:
        talker = await house.connect().open()
        talker.connection.call(1, method)
        close = await talker.expect(methods.ChannelClose)
        assert (close.reply_code, close.reply_text) == (code, text)
        assert (close.failed_class_id, close.failed_method_id) == (method.class_id, method.method_id)


async def test_a_consumer_tag_is_used_once_at_a_time():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        await talker.ask(1, BasicConsume(queue="q", consumer_tag="c"), BasicConsumeOk)
        await talker.ask(1, BasicCancel(consumer_tag="c"), BasicCancelOk)
        await talker.ask(1, BasicConsume(queue="q", consumer_tag="c"), BasicConsumeOk)
        close = await talker.ask(1, BasicConsume(queue="q", consumer_tag="c"), methods.ConnectionClose)
        assert close.reply_text == "NOT_ALLOWED - attempt to reuse consumer tag 'c'"


async def test_what_was_delivered_may_be_answered_in_every_way():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        for _ in range(8):
            talker.connection.publish(1, "", "q", b"x")
        await talker.ask(1, BasicConsume(queue="q"), BasicConsumeOk)
        await talker.deliveries(8)
        for method in (
            BasicNack(2, multiple=True, requeue=False),
            BasicNack(3),
            BasicReject(4, requeue=False),
            BasicAck(5),
            BasicAck(6),
        ):
            talker.connection.call(1, method)
        await talker.ask(1, BasicRecover(requeue=True), BasicRecoverOk)
        assert house.vhost.queues["q"].log == [
            ("reject", 1, 2),
            ("requeue", 3, 3),
            ("reject", 4, 4),
            ("settle", 5, 6),
            ("requeue", 7, 8),
        ]


async def test_acknowledgements_up_to_an_unknown_one_count():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        for _ in range(3):
            talker.connection.publish(1, "", "q", b"x")
        await talker.ask(1, BasicConsume(queue="q"), BasicConsumeOk)
        await talker.deliveries(3)
        for tag in range(1, 6):
            talker.connection.call(1, BasicAck(tag))
        close = await talker.expect(methods.ChannelClose)
        assert close.reply_text == "PRECONDITION_FAILED - unknown delivery tag 4"
        assert house.vhost.queues["q"].log == [("settle", 1, 3)]


async def test_a_limit_on_the_whole_channel_holds_deliveries_back():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        await talker.ask(1, BasicQos(prefetch_count=2, is_global=True), BasicQosOk)
        for _ in range(5):
            talker.connection.publish(1, "", "q", b"x")
        await talker.ask(1, BasicConsume(queue="q"), BasicConsumeOk)
        await talker.deliveries(2)
        talker.connection.call(1, BasicAck(1))
        assert [tag for tag, _ in await talker.deliveries(1)] == [3]
        await talker.ask(1, BasicQos(prefetch_count=0, is_global=True), BasicQosOk)
        assert [tag for tag, _ in await talker.deliveries(2)] == [4, 5]


async def test_recover_is_answered_before_anything_comes_again():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        connection, asked = house.sessions[0].connection, []
        house.vhost.requeue = lambda settled: asked.append(connection.outbox_bytes)
        await talker.ask(1, BasicRecover(requeue=True), BasicRecoverOk)
        assert asked == [len(BasicRecoverOk().frame(1))]


async def test_getting():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        await talker.ask(1, BasicGet(queue="q"), BasicGetEmpty)
        talker.connection.publish(1, "", "q", b"a")
        talker.connection.publish(1, "", "q", b"b")
        got = await talker.ask(1, BasicGet(queue="q"), Content)
        assert (body_of(got.content), got.payload[-4:]) == (b"a", b"\0\0\0\1")


async def test_declaring_and_binding_ask_the_hall():
    async with world() as house:
        talker = await house.connect().open()
        ask = talker.ask
        assert (await declared(talker, "")).queue == "amq.gen-1"
        await ask(1, methods.ExchangeDeclare(exchange="e\n", type="topic", durable=True), methods.ExchangeDeclareOk)
        await ask(1, methods.ExchangeBind(destination="e", source="f"), methods.ExchangeBindOk)
        await ask(1, methods.ExchangeUnbind(destination="e", source="f"), methods.ExchangeUnbindOk)
        await ask(1, methods.QueueBind(exchange="e"), methods.QueueBindOk)
        await ask(1, methods.QueueUnbind(queue="q", exchange="e", routing_key="k"), methods.QueueUnbindOk)
        assert (await ask(1, methods.QueuePurge(), methods.QueuePurgeOk)).message_count == 3
        assert (await ask(1, methods.QueueDelete(if_empty=True), methods.QueueDeleteOk)).message_count == 3
        await ask(1, methods.ExchangeDelete(exchange="e", if_unused=True), methods.ExchangeDeleteOk)
        await ask(1, methods.AccessRequest(), methods.AccessRequestOk)
        await ask(1, methods.ChannelFlow(active=True), methods.ChannelFlowOk)
        options = {"passive": False, "durable": True, "auto_delete": False, "internal": False, "arguments": {}}
        assert house.hall.declarations.asked[1:] == [
            ("declare_exchange", "e", "topic", options),
            ("bind_exchange", "e", "f", "", {}, {"bind": True}),
            ("bind_exchange", "e", "f", "", {}, {"bind": False}),
            ("bind_queue", "amq.gen-1", "e", "amq.gen-1", {}, {"bind": True}),
            ("bind_queue", "q", "e", "k", {}, {"bind": False}),
            ("purge_queue", "amq.gen-1", {}),
            ("delete_queue", "amq.gen-1", {"if_unused": False, "if_empty": True}),
            ("delete_exchange", "e", {"if_unused": True}),
        ]


async def test_nowait_is_answered_by_nothing():
    async with world() as house:
        talker = await house.connect().open()
        talker.connection.call(1, methods.QueueDeclare(queue="q", nowait=True))
        talker.connection.call(1, BasicConsume(queue="q", consumer_tag="c", nowait=True))
        talker.connection.call(1, ConfirmSelect(nowait=True))
        await talker.ask(1, BasicCancel(consumer_tag="c"), BasicCancelOk)


async def test_a_transaction_is_done_when_its_messages_are_safe():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        talker.connection.publish(1, "", "q", b"before")
        await talker.ask(1, BasicConsume(queue="q"), BasicConsumeOk)
        await talker.deliveries(1)
        await talker.ask(1, TxSelect(), TxSelectOk)
        talker.connection.publish(1, "", "q", b"forgotten")
        talker.connection.call(1, BasicAck(1))
        await talker.ask(1, TxRollback(), TxRollbackOk)
        assert house.vhost.queues["q"].log == []
        house.vhost.hold_confirms = True
        talker.connection.publish(1, "", "q", b"kept")
        talker.connection.call(1, BasicAck(1))
        talker.connection.call(1, TxCommit())
        ((_, content),) = await talker.deliveries(1)
        assert body_of(content) == b"kept"
        await trio.testing.wait_all_tasks_blocked()
        assert not talker.heard
        assert house.vhost.queues["q"].log == [("settle", 1, 1)]
        (pending,) = house.vhost.waiting
        pending.answer()
        await talker.expect(TxCommitOk)


async def test_a_refused_message_fails_its_transaction():
    async with world() as house:
        talker = await house.connect().open()
        await declared(talker)
        await talker.ask(1, TxSelect(), TxSelectOk)
        house.vhost.hold_confirms = True
        talker.connection.publish(1, "", "q", b"refused")
        talker.connection.call(1, TxCommit())
        await talker.flush()
        await trio.testing.wait_all_tasks_blocked()
        (pending,) = house.vhost.waiting
        pending.refuse(0, 1)
        pending.answer()
        close = await talker.expect(methods.ChannelClose)
        assert close.reply_text == "PRECONDITION_FAILED - partial tx completion"


async def test_a_message_that_is_too_large():
    async with world(message_bytes_max=1000) as house:
        talker = await house.connect().open()
        talker.connection.publish(1, "", "q", b"x" * 1001)
        close = await talker.expect(methods.ChannelClose)
        assert close.reply_text == "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000"
