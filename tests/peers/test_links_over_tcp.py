"""Links over real sockets on the loopback interface, with and without TLS."""

import logging
import ssl
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from broker.peers.admin import AdminClient
from broker.peers.introduction import Credentials, Identity, Stranger, Tls
from broker.peers.links import Links
from broker.world.network import TcpNetwork
from tests.peers.nodes import COOKIE, NOTE, Node


@asynccontextmanager
async def two_nodes(tls=None):
    """Two nodes and their listeners."""
    network = TcpNetwork()
    listeners = {name: await network.listen("127.0.0.1:0") for name in ("n1", "n2")}
    nodes = []
    for name, other in (("n1", "n2"), ("n2", "n1")):
        links = Links(
            network,
            Credentials(Identity(name, 1, f"folder of {name}"), cluster="test", cookie=COOKIE),
            {other: listeners[other].address},
            Random(name),
            tls=tls,
        )
        nodes.append(Node(links, network, name, 1))

    async def answer(request):
        return {"node": "n1", **request}

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(node.run, listeners[node.name], answer)
            yield (*nodes, listeners)
            nursery.cancel_scope.cancel()


async def exchange_and_kill(one, two):
    """Frames of all sizes both ways, then the death of two."""
    await one.until_up("n2")
    await two.until_up("n1")
    for size in (0, 1, 65536, 3_000_000):
        assert one.links.send("n2", "data", NOTE, b"x" * size) > 0
        assert two.links.send("n1", "control", NOTE, b"y" * size) > 0
    await two.until("note n1 " + "x" * 3_000_000)
    await one.until("note n2 " + "y" * 3_000_000)
    assert two.offsets[-1] == one.links.offset("n2", "data")
    assert one.links.backlog_bytes("n2") == 0
    two.scope.cancel()
    killed_at = trio.current_time()
    await one.until("dead n2 1")
    assert trio.current_time() - killed_at < 0.5
    assert one.heard[-1] == "dead n2 1"


async def test_frames_and_a_death():
    async with two_nodes() as (one, two, _):
        await exchange_and_kill(one, two)


async def test_frames_and_a_death_over_tls(authority):
    tls = make_tls(authority)
    async with two_nodes(tls) as (one, two, listeners):
        await exchange_and_kill(one, two)
        address = listeners["n1"].address
        async with await AdminClient.connect(
            TcpNetwork(), address, cluster="test", cookie=COOKIE, tls=tls.dialler
        ) as client:
            assert await client.ask({"do": "nothing"}) == {"do": "nothing", "node": "n1"}


async def test_commands():
    async with two_nodes() as (_, _, listeners):
        address = listeners["n1"].address
        async with await AdminClient.connect(TcpNetwork(), address, cluster="test", cookie=COOKIE) as client:
            assert await client.ask({"do": "nothing"}) == {"do": "nothing", "node": "n1"}
        with pytest.raises(Stranger, match="wrong cookie"):
            await AdminClient.connect(TcpNetwork(), address, cluster="test", cookie="cake")


@pytest.mark.parametrize(
    ("dialler_knows", "listener_knows", "event"),
    [(False, True, "no_link"), (True, False, "stranger_refused")],
)
async def test_a_node_with_another_authority_stays_out(authority, dialler_knows, listener_knows, event):
    other = pytest.importorskip("trustme").CA()
    tls = Tls(
        listener=make_tls(authority if listener_knows else other, shows=authority).listener,
        dialler=make_tls(authority if dialler_knows else other, shows=authority).dialler,
    )
    refused = Awaited(f"{event} ", "reason='TLS: CERTIFICATE_VERIFY_FAILED'")
    async with two_nodes(tls) as (one, two, _):
        await refused.seen.wait()
        assert one.heard == two.heard == []
    logging.getLogger("warren.peers").removeHandler(refused)


class Awaited(logging.Handler):
    """Waits for a log line with all these words."""

    def __init__(self, *words):
        super().__init__()
        self.words = words
        self.seen = trio.Event()
        logger = logging.getLogger("warren.peers")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)

    def emit(self, record):
        if all(word in record.getMessage() for word in self.words):
            self.seen.set()


@pytest.fixture(scope="session")
def authority():
    return pytest.importorskip("trustme").CA()


def make_tls(authority, shows=None):
    """Both sides show a certificate (of that authority, if another one is named), and want one of this authority."""
    at_listener, at_dialler = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    for context in (at_listener, at_dialler):
        (shows or authority).issue_cert("127.0.0.1").configure_cert(context)
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return Tls(listener=at_listener, dialler=at_dialler)
