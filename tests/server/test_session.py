import pytest
import trio
import trio.testing

from broker.amqp.client import CAPABILITIES
from broker.amqp.errors import ChannelException
from broker.server import session
from broker.server.door import HANDSHAKE_TIMEOUT_S
from broker.server.heartbeats import keep_beating
from broker.server.session import FAREWELL_TIMEOUT_S, REFUSED_LINGER_S
from broker.wire import methods
from broker.wire.basic_methods import (
    BasicAck,
    BasicConsume,
    BasicConsumeOk,
    BasicPublish,
    BasicQos,
    BasicQosOk,
    ConfirmSelect,
    ConfirmSelectOk,
)
from broker.wire.content import body_of
from broker.wire.events import Acks
from tests.server.fakes import FakeStream, declared, world


async def test_a_wrong_password_is_told_to_whom_can_hear_it():
    async with world() as house:
        talker = house.connect(password="wrong")
        await talker.expect(methods.ConnectionStart)
        close = await talker.expect(methods.ConnectionClose)
        assert close.reply_code == 403
        await talker.ended()
        assert not house.door.sessions


async def test_a_wrong_password_is_met_with_silence_else(autojump_clock):
    async with world() as house:
        talker = house.connect(password="wrong", capabilities={})
        await talker.expect(methods.ConnectionStart)
        began = trio.current_time()
        assert await talker.listen() is None
        assert trio.current_time() - began == pytest.approx(REFUSED_LINGER_S, abs=0.1)


async def test_a_vhost_that_is_not_there():
    async with world() as house:
        talker = house.connect(virtual_host="none")
        await talker.expect(methods.ConnectionStart)
        await talker.expect(methods.ConnectionTune)
        close = await talker.expect(methods.ConnectionClose)
        assert close.reply_text == "NOT_ALLOWED - vhost none not found"


@pytest.mark.parametrize("said", [b"", b"AMQ", b"AMQP\0\0\x09\x01"])
async def test_a_client_that_does_not_introduce_itself_is_hung_up_on(said, autojump_clock):
    async with world() as house:
        talker = house.connect()
        await talker.stream.send_all(said)
        began = trio.current_time()
        while await talker.stream.receive_some(4096):
            pass
        assert trio.current_time() - began == pytest.approx(HANDSHAKE_TIMEOUT_S, abs=0.1)


async def test_another_protocol_is_answered_with_the_header_of_this_one():
    async with world() as house:
        talker = house.connect()
        await talker.stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        assert await talker.stream.receive_some(4096) == b"AMQP\0\0\x09\x01"
        assert await talker.stream.receive_some(4096) == b""


async def test_a_client_that_never_answers_the_close_is_hung_up_on(autojump_clock):
    async with world() as house:
        talker = await house.connect().open()
        house.sessions[0].force_close("broker forced connection closure with reason 'shutdown'")
        began = trio.current_time()
        while await talker.stream.receive_some(4096):
            pass
        assert trio.current_time() - began == pytest.approx(FAREWELL_TIMEOUT_S, abs=0.1)
        assert house.hall.closed_clients == 1


async def test_a_client_that_reads_late_still_hears_that_its_connection_is_closed(autojump_clock):
    class LateStream(FakeStream):
        delay_s = 0.0

        async def send_all(self, data):
            await trio.sleep(self.delay_s)
            await super().send_all(data)

    async with world() as house:
        talker = await house.connect(stream_type=LateStream).open()
        LateStream.delay_s = 2 * FAREWELL_TIMEOUT_S
        talker.connection.call(0, methods.ConnectionClose(200))
        await talker.flush()
        await trio.sleep(3 * FAREWELL_TIMEOUT_S)
        await talker.expect(methods.ConnectionCloseOk)


async def test_a_client_that_vanishes_gives_everything_back():
    async with world() as house:
        talker = await house.connect().open(channels=(1, 5))
        talker.stream.close_now()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(house.vhost.closed_channels) == [1, 5]
        assert house.hall.closed_clients == 1
        assert not house.door.sessions


async def test_a_session_that_is_cancelled_gives_everything_back():
    async with world() as house:
        await house.connect().open()
    assert house.vhost.closed_channels == [1]
    assert house.hall.closed_clients == 1


async def test_a_bug_of_ours_ends_one_session_only(caplog):
    async with world() as house:
        talker = await house.connect().open()
        other = await house.connect().open()
        talker.connection.publish(1, "bug", "q", b"x")
        close = await talker.expect(methods.ConnectionClose)
        assert close.reply_code == 541
        await other.ask(1, BasicQos(), BasicQosOk)
    assert "a bug of ours" in caplog.text


async def test_heartbeats_keep_a_silent_client_alive_and_end_a_dead_one(autojump_clock):
    async with world(heartbeat_s=10) as house:
        house.nursery.start_soon(keep_beating, house.door.sessions)
        talker = await house.connect(heartbeat_s=10).open()
        talker.patience_s = 100
        for _ in range(5):
            await trio.sleep(9)
            talker.connection.beat()
            await talker.flush()
        began = trio.current_time()
        assert await talker.listen() is None
        assert 19 <= trio.current_time() - began <= 21


async def test_a_delivery_that_is_not_acknowledged_in_time_closes_its_channel(autojump_clock):
    async with world() as house:
        house.door.consumer_timeout_ms = 5000
        house.nursery.start_soon(keep_beating, house.door.sessions)
        talker = await house.connect().open(channels=(1, 2))
        talker.patience_s = 100
        await declared(talker)
        talker.connection.publish(1, "", "q", b"x")
        talker.connection.publish(1, "", "q", b"y")
        await talker.ask(1, BasicConsume(queue="q"), BasicConsumeOk)
        began = trio.current_time()
        await talker.deliveries(2)
        talker.connection.call(1, BasicAck(1))
        close = await talker.expect(methods.ChannelClose)
        assert 5 <= trio.current_time() - began <= 6.1
        assert (close.reply_code, close.reply_text) == (
            406,
            "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 5000 ms. "
            "This timeout value can be configured, see consumers doc guide to learn more",
        )
        assert (close.failed_class_id, close.failed_method_id) == (0, 0)
        assert house.vhost.closed_channels == [1]
        await talker.ask(2, BasicQos(), BasicQosOk)
        await talker.ask(1, methods.ChannelOpen(), methods.ChannelOpenOk)


async def test_answers_in_time_keep_a_channel_open(autojump_clock):
    async with world() as house:
        house.door.consumer_timeout_ms = 5000
        house.nursery.start_soon(keep_beating, house.door.sessions)
        talker = await house.connect().open()
        await declared(talker)
        await talker.ask(1, BasicConsume(queue="q"), BasicConsumeOk)
        for tag in range(1, 9):
            talker.connection.publish(1, "", "q", b"x")
            await talker.deliveries(1)
            await trio.sleep(4)
            talker.connection.call(1, BasicAck(tag))
        await talker.ask(1, BasicQos(), BasicQosOk)


async def test_a_publisher_that_is_not_read_is_not_closed_for_its_silence(autojump_clock):
    async with world(heartbeat_s=10) as house:
        house.nursery.start_soon(keep_beating, house.door.sessions)
        talker = await house.connect(heartbeat_s=10).open()
        await declared(talker)
        house.gate.close("journal", "disk")
        talker.connection.publish(1, "", "q", b"x")
        talker.connection.publish(1, "", "q", b"y")
        blocked = await talker.expect(methods.ConnectionBlocked)
        assert blocked.reason == "low on disk"
        talker.connection.call(1, BasicQos())
        await talker.flush()
        await trio.sleep(100)
        assert not talker.heard
        house.gate.open("journal")
        await talker.expect(methods.ConnectionUnblocked)
        await talker.expect(BasicQosOk)


async def test_a_publisher_that_comes_again_is_told_again(autojump_clock):
    async with world() as house:
        house.gate.close("journal", "disk")
        for _ in range(2):
            talker = await house.connect(capabilities=CAPABILITIES).open()
            talker.connection.publish(1, "", "q", b"x")
            assert (await talker.expect(methods.ConnectionBlocked)).reason == "low on disk"
            talker.stream.close_now()
        mute = await house.connect(capabilities={}).open()
        mute.connection.publish(1, "", "q", b"x")
        await mute.flush()
        talker = await house.connect(capabilities=CAPABILITIES).open()
        talker.connection.publish(1, "", "q", b"x")
        await talker.expect(methods.ConnectionBlocked)
        house.gate.open("journal")
        await talker.expect(methods.ConnectionUnblocked)
        await mute.ask(1, BasicQos(), BasicQosOk)


async def test_who_does_not_publish_is_not_blocked():
    async with world() as house:
        reader = await house.connect(capabilities=CAPABILITIES).open()
        house.gate.close("journal", "disk")
        house.gate.close("link")
        await reader.ask(1, BasicQos(), BasicQosOk)
        house.gate.open("journal")
        assert not house.gate.is_open
        house.gate.open("link")
        assert house.gate.is_open


async def test_not_even_the_first_publish_goes_through_while_the_gate_is_closed():
    async with world() as house:
        talker = await house.connect(capabilities=CAPABILITIES).open((1, 2))
        await declared(talker)
        house.gate.close("disk", "disk")
        talker.connection.publish(1, "", "q", b"early")
        talker.connection.publish(2, "", "q", b"on another channel")
        await talker.expect(methods.ConnectionBlocked)
        await trio.testing.wait_all_tasks_blocked()
        assert not house.vhost.queues["q"].ready
        house.gate.open("disk")
        await talker.expect(methods.ConnectionUnblocked)
        await talker.ask(1, BasicQos(), BasicQosOk)
        assert sum(len(run.contents) for run in house.vhost.queues["q"].ready) == 2


async def test_a_publish_that_waits_on_a_channel_that_ends_is_not_published():
    async with world() as house:
        talker = await house.connect(capabilities=CAPABILITIES).open()
        await declared(talker)
        house.gate.close("disk", "disk")
        talker.connection.publish(1, "", "q", b"too late")
        await talker.expect(methods.ConnectionBlocked)
        (session,) = house.sessions
        session.connection.fail_channel(session.connection.channels[1], ChannelException(406, "overdue"))
        house.gate.open("disk")
        await talker.expect(methods.ChannelClose)
        await talker.expect(methods.ConnectionUnblocked)
        assert not house.vhost.queues["q"].ready


async def test_a_publisher_is_told_once_that_it_waits_and_only_if_it_has_to(autojump_clock):
    """As the real server was seen to: an alarm says nothing to whoever does not publish while it lasts."""
    async with world() as house:
        talker = await house.connect(capabilities=CAPABILITIES).open()
        await declared(talker)
        talker.connection.publish(1, "", "q", b"before")
        await talker.ask(1, BasicQos(), BasicQosOk)
        house.gate.close("disk", "disk")
        await talker.ask(1, BasicQos(), BasicQosOk)
        talker.connection.publish(1, "", "q", b"now")
        assert (await talker.expect(methods.ConnectionBlocked)).reason == "low on disk"
        house.gate.close("memory", "memory")
        house.gate.open("disk")
        await trio.sleep(1)
        (session,) = house.sessions
        assert session.is_blocked
        house.gate.open("memory")
        await talker.expect(methods.ConnectionUnblocked)
        house.gate.close("disk", "disk")
        house.gate.open("disk")
        await talker.ask(1, BasicQos(), BasicQosOk)
        house.gate.close("disk", "disk")
        house.gate.close("memory", "memory")
        talker.connection.publish(1, "", "q", b"then")
        assert (await talker.expect(methods.ConnectionBlocked)).reason == "low on disk & memory"


async def test_a_client_that_goes_while_it_waits_for_something_slow_is_not_waited_for(autojump_clock):
    async with world() as house:
        house.nursery.start_soon(keep_beating, house.door.sessions)
        talker = await house.connect().open()
        talker.connection.call(1, BasicConsume(queue="slow"))
        await talker.flush()
        await trio.sleep(0.2)
        talker.stream.close_now()
        await trio.sleep(2)
        assert house.hall.closed_clients == 1
        assert not house.door.sessions


async def test_what_a_client_says_while_something_slow_goes_on_is_heard_after_it(autojump_clock):
    async with world() as house:
        house.nursery.start_soon(keep_beating, house.door.sessions)
        talker = await house.connect().open()
        await declared(talker, "slow")
        talker.connection.call(1, BasicConsume(queue="slow"))
        await talker.flush()
        await trio.sleep(3)
        talker.connection.publish(1, "", "slow", b"early")
        await talker.flush()
        await trio.sleep(3)
        talker.connection.call(1, BasicQos())
        await talker.flush()
        await trio.sleep(3)
        house.vhost.slow.set()
        await talker.expect(BasicConsumeOk)
        ((_, content),) = await talker.deliveries(1)
        assert body_of(content) == b"early"
        await talker.expect(BasicQosOk)


async def test_publish_is_not_a_method_of_channel_zero():
    async with world() as house:
        talker = await house.connect().open()
        await talker.stream.send_all(BasicPublish(routing_key="q").frame(0))
        close = await talker.expect(methods.ConnectionClose)
        assert close.reply_code == 504


async def test_a_pipelined_conversation_is_understood():
    async with world() as house:
        talker = await house.connect().open(channels=())
        for number in (1, 2, 3):
            talker.connection.call(number, methods.ChannelOpen())
            talker.connection.call(number, ConfirmSelect())
            talker.connection.call(number, methods.QueueDeclare(queue="q"))
            talker.connection.publish(number, "", "q", b"x")
            talker.connection.call(number, methods.ChannelClose())
        heard = []
        while not heard or not (heard[-1][0] == 3 and isinstance(heard[-1][1], methods.ChannelCloseOk)):
            heard.append(await talker.listen())
        for number in (1, 2, 3):
            kinds = [type(event) for channel, event in heard if channel == number]
            assert kinds == [
                methods.ChannelOpenOk,
                ConfirmSelectOk,
                methods.QueueDeclareOk,
                Acks,
                methods.ChannelCloseOk,
            ]


async def test_a_session_that_has_just_ended_may_still_be_looked_at():
    async with world() as house:
        talker = await house.connect().open()
        talker.stream.close_now()
        await trio.testing.wait_all_tasks_blocked()
        house.sessions[0].beat(trio.current_time() + 100)  # its task has not gone on yet, for all the clock knows


async def test_who_asks_for_much_at_once_lets_others_have_their_turn(nursery, monkeypatch):
    turns = {"others": 0, "longest": 0}

    async def others():
        while True:
            turns["others"] += 1
            await trio.lowlevel.checkpoint()

    async def measured(session, data, take=session.Session._take):
        before = turns["others"]
        await take(session, data)
        turns["longest"] = max(turns["longest"], turns["others"] - before)

    monkeypatch.setattr(session.Session, "_take", measured)
    monkeypatch.setattr(session, "TURN_S_MAX", 0.0)
    async with world() as house:
        talker = await house.connect().open()
        nursery.start_soon(others)
        for _ in range(8 * session.EVENTS_PER_LOOK):
            talker.connection.call(1, BasicQos())
        for _ in range(8 * session.EVENTS_PER_LOOK):
            await talker.expect(BasicQosOk)
    assert turns["longest"] >= 3
