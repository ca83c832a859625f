"""Real TCP on the loopback interface, as the house needs it: honest refusals, no Nagle, and closing that is noticed."""

import errno
import socket
import ssl

import pytest
import trio
import trio.testing

from broker.world.chance import fresh_nonce
from broker.world.network import (
    Refused,
    TcpNetwork,
    Unreachable,
    join_endpoint,
    secure,
    split_endpoint,
)

NETWORK = TcpNetwork()


async def connected(address="127.0.0.1:0"):
    """Both ends of a connection, and nothing listens any more."""
    listener = await NETWORK.listen(address)
    dialled = await NETWORK.dial(listener.address, 5)
    accepted = await listener.accept()
    listener.close_now()
    return dialled, accepted


async def read(stream, count):
    data = bytearray()
    while len(data) < count:
        data += await stream.receive_some(count - len(data))
    return bytes(data)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
async def test_listen_and_dial(address):
    if "::" in address and not _has_ipv6():
        address = "127.0.0.1:0"
    dialled, accepted = await connected(address)
    assert split_endpoint(dialled.peer_address)[1] > 0
    await dialled.send_all(b"ping")
    assert await accepted.receive_some(3) == b"pin"
    assert await accepted.receive_some(100) == b"g"
    await accepted.send_all(b"pong")
    assert await dialled.receive_some() == b"pong"
    await dialled.aclose()
    assert await accepted.receive_some() == b""
    await accepted.aclose()


async def test_port_zero_becomes_the_port_that_was_free_and_is_then_taken():
    listener = await NETWORK.listen("127.0.0.1:0")
    host, port = split_endpoint(listener.address)
    assert (host, port > 0) == ("127.0.0.1", True)
    with pytest.raises(OSError, match="in use") as caught:
        await NETWORK.listen(listener.address)
    assert caught.value.errno == errno.EADDRINUSE
    listener.close_now()
    (await NETWORK.listen(listener.address)).close_now()


async def test_nobody_listens():
    listener = await NETWORK.listen("127.0.0.1:0")
    listener.close_now()
    with pytest.raises(Refused, match=listener.address):
        await NETWORK.dial(listener.address, 5)


async def test_a_dial_never_meets_itself():
    """A free port in the range from which the kernel takes ports for dials can connect to itself."""
    listener = await NETWORK.listen("127.0.0.1:0")
    address = listener.address
    listener.close_now()
    for _ in range(300):
        with pytest.raises(Refused):
            await NETWORK.dial(address, 5)


async def test_a_full_backlog_is_no_refusal():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = join_endpoint(*full.getsockname())
        streams = []

        async def dial_until_full():
            while len(streams) < 10:
                streams.append(await NETWORK.dial(address, 0.05))

        with pytest.raises(Unreachable, match=r"no answer within 0\.05 s"):
            await dial_until_full()
        for stream in streams:
            stream.close_now()


async def test_a_name_that_does_not_exist_proves_nothing():
    with pytest.raises(Unreachable):
        await NETWORK.dial("no-such-name.invalid:1", 5)


@pytest.mark.parametrize("address", ["", "n2", "n2:99999", f"{'n' * 70}:1", "::1:5"])
async def test_what_is_no_address_proves_nothing(address):
    with pytest.raises(Unreachable, match="cannot be dialled"):
        await TcpNetwork().dial(address, 1)


async def test_more_than_the_kernel_holds_waits_for_the_reader():
    dialled, accepted = await connected()
    data = fresh_nonce(1000) * 20_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialled.send_all, data)
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks, "the kernel does not hold 20 MB"
        assert await read(accepted, len(data)) == data
    await dialled.wait_send_all_might_not_block()
    dialled.close_now()
    accepted.close_now()


async def test_closing_wakes_whoever_waits():
    dialled, accepted = await connected()
    listener = await NETWORK.listen("127.0.0.1:0")
    async with trio.open_nursery() as nursery:
        for waits in (dialled.receive_some, listener.accept):

            @nursery.start_soon
            async def wait(waits=waits):
                with pytest.raises(trio.ClosedResourceError):
                    await waits()

        await trio.testing.wait_all_tasks_blocked()
        dialled.close_now()
        dialled.close_now()
        listener.close_now()
    for use in (dialled.receive_some, lambda: dialled.send_all(b"x"), dialled.wait_send_all_might_not_block):
        with pytest.raises(trio.ClosedResourceError):
            await use()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
    accepted.close_now()


async def test_a_reset_breaks_the_stream():
    dialled, accepted = await connected()
    accepted._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    accepted.close_now()
    with pytest.raises(trio.BrokenResourceError, match="reset"):
        await dialled.receive_some()
    dialled.close_now()


async def test_small_pieces_leave_at_once():
    dialled, accepted = await connected()
    for stream in (dialled, accepted):
        assert stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        stream.close_now()


async def test_accepting_survives_a_lack_of_file_descriptors(monkeypatch, autojump_clock):
    listener = await NETWORK.listen("127.0.0.1:0")
    failures = [OSError(errno.EMFILE, "too many"), OSError(errno.ECONNABORTED, "gone"), BlockingIOError()]

    class Reluctant:
        fileno = listener._socket.fileno

        def accept(self):
            if failures:
                raise failures.pop(0)
            return listener_socket.accept()

    listener_socket, listener._socket = listener._socket, Reluctant()
    with socket.create_connection(listener_socket.getsockname()):
        monkeypatch.setattr(trio.lowlevel, "wait_readable", _no_wait)
        stream = await listener.accept()
    stream.close_now()
    listener_socket.close()
    assert not failures


def test_endpoints():
    assert split_endpoint("127.0.0.1:5672") == ("127.0.0.1", 5672)
    assert split_endpoint("[::1]:0") == ("::1", 0)
    assert split_endpoint("a.b:65535") == ("a.b", 65535)
    assert join_endpoint("::1", 1) == "[::1]:1"
    assert join_endpoint("a.b", 1) == "a.b:1"


@pytest.mark.parametrize("address", ["", "5672", ":5672", "a:", "a:x", "a:65536", "a:-1", "a:²", "::1:5672", "[::1]"])
def test_what_is_no_endpoint(address):
    with pytest.raises(ValueError, match=r"IPv6 address stands in brackets|not HOST:PORT"):
        split_endpoint(address)


async def test_tls_over_tcp(certificates):
    dialled, accepted = await connected()
    at_listener, at_dialler = certificates
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def listener():
            secured = await secure(accepted, at_listener)
            assert secured.peer_address == accepted.peer_address
            assert await secured.receive_some() == b"ping"
            await secured.wait_send_all_might_not_block()
            await secured.send_all(b"pong")
            secured.close_now()

        secured = await secure(dialled, at_dialler, server_hostname="127.0.0.1")
        await secured.send_all(b"ping")
        assert await secured.receive_some() == b"pong"
        assert await secured.receive_some() == b"", "an end without a good-bye is an end"
        await secured.aclose()


async def test_tls_with_somebody_who_does_not_speak_it(certificates):
    dialled, accepted = await connected()
    await dialled.send_all(b"AMQP\x00\x00\x09\x01")
    with pytest.raises(trio.BrokenResourceError):
        await secure(accepted, certificates[0])
    dialled.close_now()
    accepted.close_now()


@pytest.fixture(scope="session")
def certificates():
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    at_listener, at_dialler = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(at_listener)
    authority.configure_trust(at_dialler)
    return at_listener, at_dialler


async def _no_wait(_):
    await trio.lowlevel.checkpoint()


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
