import ssl
from contextlib import suppress

import pytest
import trio
import trio.testing
import trustme

from broker.server.listener import AmqpListener
from broker.wire import methods
from broker.world.network import TcpNetwork, secure
from tests.server.fakes import FakeStream, Talker, world


@pytest.fixture
async def house():
    async with world() as made:
        made.dialled = []
        yield made
        for stream in made.dialled:
            stream.close_now()


async def listening(house, tls=None):
    listener = AmqpListener(house.door, TcpNetwork(), "127.0.0.1:0", tls)
    await listener.open()
    house.nursery.start_soon(listener.run)
    return listener


async def dialled(house, listener):
    house.dialled.append(await TcpNetwork().dial(listener.address, 5))
    return house.dialled[-1]


async def test_clients_come_in_by_tcp(house):
    listener = await listening(house)
    talker = await Talker(await dialled(house, listener)).open()
    (session,) = listener.sessions
    assert session.name.endswith(f" -> {listener.address}")
    await talker.ask(0, methods.ConnectionClose(200), methods.ConnectionCloseOk)


async def test_at_shutdown_everybody_is_told_and_nobody_comes_in(house):
    listener = await listening(house)
    polite = await Talker(await dialled(house, listener)).open()
    silent = await dialled(house, listener)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.close, 5.0)
        close = await polite.expect(methods.ConnectionClose)
        await polite.ended()
        assert await silent.receive_some(100) == b""
    assert (close.reply_code, close.reply_text) == (
        320,
        "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
    )
    assert not listener.sessions
    with pytest.raises(Exception, match="refused"):
        await dialled(house, listener)


async def test_who_does_not_go_is_hung_up_on_when_grace_is_over(house):
    listener = await listening(house)
    stubborn = await Talker(await dialled(house, listener)).open()
    await listener.close(0.01)
    with trio.fail_after(5):
        while await stubborn.stream.receive_some(1000):
            pass
    assert house.hall.closed_clients == 1


async def test_a_suspended_port_is_closed_until_it_is_resumed(house):
    listener = await listening(house)
    talker = await Talker(await dialled(house, listener)).open()
    address = listener.address
    for _ in range(2):
        listener.suspend("Node was put into maintenance mode")
    close = await talker.expect(methods.ConnectionClose)
    await talker.ended()
    assert (close.reply_code, close.reply_text) == (320, "CONNECTION_FORCED - Node was put into maintenance mode")
    with pytest.raises(Exception, match="refused"):
        await dialled(house, listener)
    for _ in range(2):
        await listener.resume()
    assert listener.address == address
    await Talker(await dialled(house, listener)).open()
    listener.suspend("again")
    await listener.resume()  # before the listener has noticed
    await Talker(await dialled(house, listener)).open()
    listener.suspend("and then for good")
    ours, theirs = trio.testing.memory_stream_pair()
    with trio.fail_after(1):
        await listener._serve(FakeStream(ours, "127.0.0.1:50000"))  # accepted a moment ago
        assert await theirs.receive_some() == b""
    await listener.close(0.01)
    with pytest.raises(Exception, match="refused"):
        await dialled(house, listener)


class Certificates:
    """An authority, what a server needs of it, and clients with and without a certificate."""

    def __init__(self, verify_mode=ssl.CERT_NONE):
        self.authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(self.server)
        self.authority.configure_trust(self.server)
        self.server.verify_mode = verify_mode

    def client(self, name=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        if name is not None:
            self.authority.issue_cert(common_name=name).configure_cert(context)
        return context


async def secured(house, listener, context):
    return await secure(await dialled(house, listener), context, server_hostname="127.0.0.1")


async def test_tls(house):
    certificates = Certificates()
    listener = await listening(house, certificates.server)
    plain = await dialled(house, listener)
    await plain.send_all(b"AMQP\0\0\x09\x01 and more")
    talker = await Talker(await secured(house, listener, certificates.client())).open()
    (session,) = listener.sessions
    assert session.security.certificate is None
    await talker.ask(0, methods.ConnectionClose(200), methods.ConnectionCloseOk)


async def test_a_handshake_that_fails_is_one_line_and_hurts_nobody_else(house, caplog):
    certificates = Certificates()
    listener = await listening(house, certificates.server)
    with pytest.raises(trio.BrokenResourceError):
        await secured(house, listener, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    house.dialled[-1].close_now()
    (await dialled(house, listener)).close_now()
    garbled = await dialled(house, listener)
    await garbled.send_all(b"AMQP\0\0\x09\x01 and more")
    with suppress(trio.BrokenResourceError):
        assert await garbled.receive_some(100) == b""
    await Talker(await secured(house, listener, certificates.client())).open()
    refused = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(refused) == 3
    assert all(line.startswith("event=tls_refused peer=127.0.0.1:") and "\n" not in line for line in refused)


async def test_a_client_with_a_certificate_may_log_in_by_it(house):
    certificates = Certificates(ssl.CERT_OPTIONAL)
    listener = await listening(house, certificates.server)
    talker = Talker(await secured(house, listener, certificates.client("ann")), mechanism="EXTERNAL")
    assert (await talker.expect(methods.ConnectionStart)).mechanisms == b"PLAIN AMQPLAIN EXTERNAL"
    await talker.expect(methods.ConnectionTune)
    (session,) = listener.sessions
    assert session.user.name.startswith("CN=ann,OU=")


async def test_without_a_certificate_external_is_neither_offered_nor_taken(house):
    certificates = Certificates(ssl.CERT_OPTIONAL)
    listener = await listening(house, certificates.server)
    talker = Talker(await secured(house, listener, certificates.client()), mechanism="EXTERNAL")
    assert (await talker.expect(methods.ConnectionStart)).mechanisms == b"PLAIN AMQPLAIN"
    close = await talker.expect(methods.ConnectionClose)
    assert (close.reply_code, close.reply_text) == (
        403,
        "ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL. "
        "For details see the broker logfile.",
    )


async def test_a_certificate_of_another_authority_gets_nowhere(house):
    certificates = Certificates(ssl.CERT_OPTIONAL)
    listener = await listening(house, certificates.server)
    context = certificates.client()
    trustme.CA().issue_cert("ann").configure_cert(context)
    assert await Talker(await secured(house, listener, context)).listen() is None


async def test_the_end_is_said_in_tls_too(house):
    """A client's TLS that sees only the socket close takes it for an attack."""
    certificates = Certificates()
    listener = await listening(house, certificates.server)
    stream = trio.SSLStream(
        await dialled(house, listener), certificates.client(), server_hostname="127.0.0.1", https_compatible=False
    )
    await stream.do_handshake()
    await stream.send_all(b"AMQP\0\0\0\0")
    with trio.fail_after(5):
        assert await stream.receive_some(100) == b"AMQP\0\0\x09\x01"
        assert await stream.receive_some(100) == b""
