import ssl

import pytest
import trio
import trustme

from broker.server.listener import AmqpListener
from broker.wire import methods
from broker.world.network import TcpNetwork, secure
from tests.server.fakes import Talker, world


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


async def test_tls(house):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    certificate.configure_cert(ours)
    authority.configure_trust(theirs)
    listener = await listening(house, ours)
    plain = await dialled(house, listener)
    await plain.send_all(b"AMQP\0\0\x09\x01 and more")
    secured = await secure(await dialled(house, listener), theirs, server_hostname="127.0.0.1")
    talker = await Talker(secured).open()
    await talker.ask(0, methods.ConnectionClose(200), methods.ConnectionCloseOk)
