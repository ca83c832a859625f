import pytest

from broker.amqp.client import ClientConnection
from broker.amqp.connection import ServerConnection
from broker.amqp.errors import ConnectionException
from broker.amqp.handshake import Limits
from broker.amqp.requests import CloseRequest, Login, Open, OpenChannel
from broker.wire import methods
from broker.wire.basic_methods import BasicQos, BasicQosOk
from broker.wire.content import body_of
from broker.wire.events import Delivered, Publish
from broker.wire.message import Run


def talk(client, server):
    """Carry bytes to and fro until both are silent; what each of them reported."""
    heard, asked = [], []
    while (out := b"".join(client.take_output())) or server.outbox_bytes:
        for channel, event in server.feed(out, 0.0):
            asked.append(event)
            if isinstance(event, Login):
                server.accept_login()
            elif isinstance(event, Open):
                server.accept_open()
            elif isinstance(event, OpenChannel):
                server.accept_channel(event.number)
            elif isinstance(event, CloseRequest):
                server.accept_close()
            elif isinstance(event, BasicQos):
                server.send_method(channel, BasicQosOk())
        back = b"".join(server.take_output())
        server.written(len(back), 0.0)
        heard += client.feed(back)
    return heard, asked


@pytest.fixture
def server():
    return ServerConnection({"product": "RabbitMQ"}, Limits(frame_max=8192, heartbeat_s=30), lambda: None)


def test_both_roles_understand_each_other(server):
    client = ClientConnection("guest", "guest", heartbeat_s=60)
    talk(client, server)
    assert (client.state, server.state) == ("open", "running")
    assert (client.frame_max, server.frame_max, client.heartbeat_s, server.heartbeat_s) == (8192, 8192, 30, 30)
    assert client.server_properties == {"product": "RabbitMQ"}
    assert "basic.nack" in server.capabilities

    client.call(1, methods.ChannelOpen())
    client.call(1, BasicQos(prefetch_count=1))
    client.publish(1, "", "q", b"x" * 20000, mandatory=True)
    client.beat()
    heard, asked = talk(client, server)
    assert [type(method) for _, method in heard] == [methods.ChannelOpenOk, BasicQosOk]
    publish = asked[-1]
    assert isinstance(publish, Publish)
    assert body_of(publish.contents[0]) == b"x" * 20000

    server.channels[1].deliver(b"c", Run(publish.contents, publish.address, publish.traits, first=1), "queue")
    ((number, delivered),), _ = talk(client, server)
    assert number == 1
    assert isinstance(delivered, Delivered)
    assert delivered.contents == publish.contents

    client.call(0, methods.ConnectionClose(200, "bye"))
    talk(client, server)
    assert (client.state, server.state) == ("closed", "closed")


def test_the_brokers_words_are_kept(server):
    client = ClientConnection("guest", "guest")
    talk(client, server)
    server.fail(ConnectionException(320, "broker forced connection closure with reason 'shutdown'"))
    talk(client, server)
    assert client.closed == "320 CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    assert (client.state, server.state) == ("closed", "closed")


def test_a_broker_that_speaks_no_amqp():
    with pytest.raises(ConnectionException, match="unknown_frame"):
        ClientConnection("guest", "guest").feed(b"\x09\0\0\0\0\0\0\xce")
