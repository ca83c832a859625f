"""One question over a plain socket, to a door as nodes have it and to ones that do not answer as they should."""

import socket
import ssl
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from threading import Thread

import pytest
import trio

from broker.cli.exchange import Silent, ask_once
from broker.node.configuration import Address
from broker.peers.introduction import Credentials, Identity, Tls
from broker.peers.reception import Reception
from broker.wire.peer_frames import GREETING_BYTES_MAX, HEAD, KIND_WELCOME
from broker.world.network import TcpNetwork


@pytest.fixture(scope="module")
def authority():
    return pytest.importorskip("trustme").CA()


async def answer(request):
    await trio.sleep(request.get("after_s", 0))
    return {"you said": request}


@asynccontextmanager
async def door(tls=None):
    """A node's link port; an async function that asks it."""
    listener = await TcpNetwork().listen("127.0.0.1:0")
    credentials = Credentials(Identity("n1", 1, "folder"), cluster="test", cookie="secret")

    async def ask(request, **options):
        options = {"cluster": "test", "cookie": "secret", "timeout_s": 5.0, "tls": tls and tls.dialler, **options}
        return await trio.to_thread.run_sync(partial(ask_once, Address.parse(listener.address), request, **options))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Reception(credentials, {}, {}, tls=tls, admin=answer).run, listener)
        yield ask
        nursery.cancel_scope.cancel()
    listener.close_now()


async def test_a_question_has_its_answer():
    async with door() as ask:
        request = {"do": "anything", "text": "ö" * 200_000}
        assert await ask(request) == {"you said": request}


async def test_who_does_not_belong_there_is_told():
    async with door() as ask:
        with pytest.raises(Silent, match=r"^refused there: 'wrong cookie'$"):
            await ask({}, cookie="cake")
        with pytest.raises(Silent, match=r"refused there: .another cluster"):
            await ask({}, cluster="other")


async def test_an_answer_that_takes_too_long():
    async with door() as ask:
        with pytest.raises(Silent, match=r"^127.0.0.1:\d+: no answer within 0.2 s$"):
            await ask({"after_s": 60}, timeout_s=0.2)
        with pytest.raises(Silent, match="no answer within 0 s"):
            await ask({}, timeout_s=0)


async def test_over_tls(authority):
    certificate = authority.issue_cert("localhost")
    contexts = Tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    contexts.dialler.check_hostname = False
    for context in contexts:
        certificate.configure_cert(context)
        authority.configure_trust(context)
    async with door(contexts) as ask:
        assert await ask({"do": "x"}) == {"you said": {"do": "x"}}
        with pytest.raises(Silent, match=r"closed during the greeting|Connection reset"):
            await ask({}, tls=None)
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        stranger.check_hostname = False
        with pytest.raises(Silent, match=r"^TLS: CERTIFICATE_VERIFY_FAILED$"):
            await ask({}, tls=stranger)


@contextmanager
def saying(data):
    """A door that says this, whatever it is asked, and hangs up; None: it says nothing for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            taken, _ = listening.accept()
            with taken, suppress(OSError):  # who has heard enough hangs up
                taken.sendall(data)
                taken.shutdown(socket.SHUT_WR)
                taken.recv(65536)

        if data is not None:
            Thread(target=serve, daemon=True).start()
        yield Address(*listening.getsockname())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "closed during the greeting"),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not greet as a Warren node does"),
        (HEAD.pack(GREETING_BYTES_MAX + 1, KIND_WELCOME), "does not greet as a Warren node does"),
        (None, r"127.0.0.1:\d+: no greeting within 0.1 s"),
    ],
)
def test_what_is_no_node(data, why):
    with saying(data) as address, pytest.raises(Silent, match=f"^{why}$"):
        ask_once(address, {}, cluster="test", cookie="secret", timeout_s=5 if data is not None else 0.1)


def test_nobody_listens():
    with saying(None) as address:
        gone = address
    with pytest.raises(Silent, match=f"^{gone}: connection refused$"):
        ask_once(gone, {}, cluster="test", cookie="secret", timeout_s=1)
    with pytest.raises(Silent, match=r"^no-such-name.invalid:1: "):
        ask_once(Address("no-such-name.invalid", 1), {}, cluster="test", cookie="secret", timeout_s=1)
