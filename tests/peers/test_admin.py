"""Commands over the link port: JSON there and back, for whoever holds the cookie."""

import pytest
import trio

from broker.peers.admin import AdminClient
from broker.peers.introduction import Stranger
from broker.peers.reception import COMMANDS_MAX
from broker.world.network import Refused, Unreachable
from tests.peers.nodes import COOKIE, address_of, cluster_of


async def echo(request):
    if request.get("do") == "sleep":
        await trio.sleep(request["s"])
    return {"you said": request}


async def connect(cluster, *, cookie=COOKIE, cluster_name="test", timeout_s=5.0):
    network = cluster.network.host("terminal")
    return await AdminClient.connect(
        network, address_of("n1"), cluster=cluster_name, cookie=cookie, timeout_s=timeout_s
    )


async def test_a_request_has_an_answer(autojump_clock):
    async with cluster_of() as cluster:
        await cluster.start("n1", admin=echo)
        async with await connect(cluster) as client:
            assert client.node == "n1"
            for number in range(3):
                assert await client.ask({"do": "echo", "n": number}) == {"you said": {"do": "echo", "n": number}}


async def test_large_answers_come_whole(autojump_clock):
    async with cluster_of() as cluster:
        await cluster.start("n1", admin=echo)
        async with await connect(cluster) as client:
            text = "ö" * 1_000_000
            assert (await client.ask({"text": text}))["you said"]["text"] == text


async def test_without_the_cookie_nobody_asks(autojump_clock):
    async with cluster_of() as cluster:
        await cluster.start("n1", admin=echo)
        with pytest.raises(Stranger, match="wrong cookie"):
            await connect(cluster, cookie="cake")
        with pytest.raises(Stranger, match="another cluster"):
            await connect(cluster, cluster_name="other")


async def test_a_node_without_an_ear_for_commands_says_so(autojump_clock):
    async with cluster_of() as cluster:
        await cluster.start("n1")
        with pytest.raises(Stranger, match="no commands here"):
            await connect(cluster)


async def test_a_node_that_is_not_there_or_stands_still(autojump_clock):
    async with cluster_of() as cluster:
        with pytest.raises(Refused):
            await connect(cluster)
        await cluster.start("n1", admin=echo)
        cluster.network.freeze("n1")
        with pytest.raises(Unreachable, match="no greeting within 2 s"):
            await connect(cluster, timeout_s=2)


async def test_a_node_that_dies_before_it_answers(autojump_clock):
    async with cluster_of() as cluster:
        await cluster.start("n1", admin=echo)
        client = await connect(cluster)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def kill():
                await trio.sleep(1)
                cluster.kill("n1")

            with pytest.raises(Unreachable, match="n1: "):
                await client.ask({"do": "sleep", "s": 10})
        await client.aclose()


async def test_only_so_many_commands_at_once(autojump_clock):
    async with cluster_of() as cluster:
        await cluster.start("n1", admin=echo)
        clients = [await connect(cluster) for _ in range(COMMANDS_MAX)]
        with pytest.raises(Stranger, match="too many commands at once"):
            await connect(cluster)
        await clients.pop().aclose()
        await trio.sleep(1)
        clients.append(await connect(cluster))
        for client in clients:
            await client.aclose()


@pytest.mark.parametrize("payload", [b"{", b"[]", b"[" * 100_000, b"\xff"])
async def test_what_is_not_an_object_ends_the_connection(autojump_clock, payload, caplog):
    async with cluster_of() as cluster:
        await cluster.start("n1", admin=echo)
        client = await connect(cluster)
        await client._stream.send_all(len(payload).to_bytes(4, "big") + b"\x05" + payload)
        with pytest.raises(Unreachable):
            await client.ask({})
        await client.aclose()
        assert "command_refused" in caplog.text


async def test_commands_go_through_a_pretended_cut(autojump_clock):
    async with cluster_of() as cluster:
        one = await cluster.start("n1", admin=echo)
        one.links.block("n2", "in")
        async with await connect(cluster) as client:
            assert await client.ask({}) == {"you said": {}}
