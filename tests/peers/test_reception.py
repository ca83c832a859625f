"""Strangers at the link address: one log line, one socket, no memory; and members in the order they come."""

import logging

import pytest
import trio

from broker.peers.greeting import dial_and_greet
from broker.peers.introduction import Credentials, Identity, Stranger
from broker.peers.reception import GREETINGS_MAX
from broker.world.network import Unreachable
from tests.peers.nodes import COOKIE, address_of, cluster_of


def refusals(caplog):
    return [record.getMessage() for record in caplog.records if "stranger_refused" in record.getMessage()]


async def dial(cluster, name="stranger"):
    return await cluster.network.host(name).dial(address_of("n1"), 5)


async def test_garbage_costs_one_log_line_and_the_socket(autojump_clock, caplog):
    async with cluster_of() as cluster:
        await cluster.start("n1")
        for _ in range(3):
            stream = await dial(cluster)
            await stream.send_all(b"GET / HTTP/1.1\r\n" * 1000)
            assert await stream.receive_some() == b""
            stream.close_now()
        assert refusals(caplog) == [
            "stranger_refused address=stranger:0 reason='does not greet as a Warren node does'",
        ]
        await trio.sleep(61)
        stream = await dial(cluster)
        await stream.send_all(b"GET / HTTP/1.1\r\n")
        assert await stream.receive_some() == b""
        stream.close_now()
        assert len(refusals(caplog)) == 2
        assert not cluster.network.pipes


async def test_who_says_nothing_has_five_seconds(autojump_clock, caplog):
    async with cluster_of() as cluster:
        await cluster.start("n1")
        stream = await dial(cluster)
        started = trio.current_time()
        assert await stream.receive_some() == b""
        assert trio.current_time() - started == pytest.approx(5, abs=0.01)
        assert refusals(caplog) == ["stranger_refused address=stranger:0 reason='no greeting within 5 s'"]


async def test_the_doorway_has_room_for_so_many(autojump_clock, caplog):
    async with cluster_of() as cluster:
        one = await cluster.start("n1")
        streams = [await dial(cluster) for _ in range(GREETINGS_MAX)]
        await trio.sleep(0.1)
        late = await dial(cluster)
        assert await late.receive_some() == b""
        assert refusals(caplog) == ["stranger_refused address=stranger:0 reason='too many greetings'"]
        for stream in streams:
            stream.close_now()
        await cluster.start("n2")
        await one.until_up("n2")


async def test_many_strangers_are_not_remembered_for_ever(autojump_clock):
    async with cluster_of() as cluster:
        await cluster.start("n1")
        for number in range(300):
            stream = await dial(cluster, f"stranger-{number}")
            await stream.send_all(b"GET / HTTP/1.1\r\n")
            stream.close_now()
        await trio.sleep(10)
        assert not cluster.network.pipes


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ({"cookie": "cake"}, "wrong cookie"),
        ({"cluster": "other"}, "another cluster, 'other'"),
    ],
)
async def test_two_nodes_that_do_not_belong_together_never_meet(autojump_clock, caplog, start, reason):
    async with cluster_of() as cluster:
        one = await cluster.start("n1")
        two = await cluster.start("n2", **start)
        await trio.sleep(30)
        assert one.heard == two.heard == []
        assert any(reason in line for line in refusals(caplog))
        assert "cake" not in caplog.text
        assert "a cookie" not in caplog.text


async def test_a_second_node_of_my_name_is_refused(autojump_clock):
    async with cluster_of() as cluster:
        await cluster.start("n1")
        double = Credentials(Identity("n1", 9, "another folder"), cluster="test", cookie=COOKIE)
        with pytest.raises(Stranger, match="n1 is this node's own name"):
            await dial_and_greet(cluster.network.host("x"), address_of("n1"), double, "data", expected="n1")


async def test_health_checks_that_only_knock_stay_out_of_the_log(autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    async with cluster_of() as cluster:
        await cluster.start("n1")
        (await dial(cluster)).close_now()
        await trio.sleep(1)
        assert refusals(caplog) == []


async def test_behind_a_pretended_cut_a_greeting_hangs_until_it_is_mended(autojump_clock):
    async with cluster_of() as cluster:
        one = await cluster.start("n1")
        two = Credentials(Identity("n2", 1, "folder of n2"), cluster="test", cookie=COOKIE)
        host = cluster.network.host("n2")
        for direction, other in (("in", "out"), ("out", "in")):
            one.links.block("n2", direction)
            started = trio.current_time()
            with pytest.raises(Unreachable, match=r"no greeting within 5 s|closed during the greeting"):
                await dial_and_greet(host, address_of("n1"), two, "data", expected="n1")
            assert trio.current_time() - started > 4.9
            one.links.block("n2", other)
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def mend():
                    await trio.sleep(1)
                    one.links.unblock("n2", "in")
                    one.links.unblock("n2", "out")

                started = trio.current_time()
                with pytest.raises(Unreachable, match="closed during the greeting"):
                    await dial_and_greet(host, address_of("n1"), two, "data", expected="n1")
                assert trio.current_time() - started < 1.1
        stream, _ = await dial_and_greet(host, address_of("n1"), two, "data", expected="n1")
        stream.close_now()
        await one.until("incoming n2 1 data")
