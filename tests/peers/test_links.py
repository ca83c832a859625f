"""Links between nodes on a network of dice: order, offsets, deaths that are proven and silences that are not."""

from random import Random

import pytest
import trio
from pydantic import ValidationError

from broker.node.configuration_models import NodeSettings
from broker.peers.introduction import Credentials, Identity
from broker.peers.links import Links
from broker.wire.peer_frames import FRAME_BYTES_MAX, HEAD
from tests.peers.nodes import COOKIE, LANES, NOTE, address_of, cluster_of


async def test_both_lanes_come_up_both_ways(autojump_clock):
    async with cluster_of(3) as cluster:
        started = trio.current_time()
        await cluster.start_all()
        assert trio.current_time() - started < 0.1
        links = cluster.nodes["n1"].links
        assert links.is_up("n2", "data")
        assert links.identity("n2") == ("n2", 1, "folder of n2")


async def test_frames_come_in_order_with_the_offset_that_send_returned(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        offsets = [one.links.send("n2", "data", NOTE, b"%d" % number) for number in range(1000)]
        await two.until("note n1 999")
        assert two.heard == [f"note n1 {number}" for number in range(1000)]
        assert two.offsets == offsets
        assert offsets[0] == HEAD.size + 1


async def test_offsets_go_on_after_a_reconnect(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        before = one.links.send("n2", "data", NOTE, b"a")
        await two.until("note n1 a")
        one.links.disconnect("n2", "a test")
        assert one.links.send("n2", "data", NOTE, b"lost") == -1
        await one.until_up("n2")
        await two.until("incoming n1 1 data")
        assert one.links.offset("n2", "data") == before
        assert one.links.send("n2", "data", NOTE, b"b") == before + HEAD.size + 1
        await two.until("note n1 b")
        assert two.offsets == [before, before + HEAD.size + 1]


async def test_a_killed_node_is_proven_dead_within_twenty_milliseconds(autojump_clock):
    for seed in range(20):
        async with cluster_of(3, seed) as cluster:
            one, _, three = await cluster.start_all()
            await trio.sleep(5)
            killed_at = trio.current_time()
            cluster.kill("n2")
            await one.until("dead n2 1")
            await three.until("dead n2 1")
            assert trio.current_time() - killed_at < 0.020
            await trio.sleep(3)
            assert one.heard.count("dead n2 1") == 1
            assert one.heard[-1] == "dead n2 1", "everything of a life is heard before its end"
            assert one.links.identity("n2") is None


async def test_what_a_life_said_is_heard_before_its_death(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        for number in range(100):
            two.links.send("n1", "data", NOTE, b"%d" % number)
        await trio.sleep(1)
        cluster.kill("n2")
        await one.until("dead n2 1")
        assert one.heard.index("note n2 99") < one.heard.index("dead n2 1")


async def test_a_node_that_was_never_seen_is_not_dead(autojump_clock):
    async with cluster_of() as cluster:
        one = await cluster.start("n1")
        await trio.sleep(10)
        assert one.heard == []


async def test_a_node_that_dials_before_it_listens_is_not_dead_when_it_stops_dialling(autojump_clock):
    async with cluster_of() as cluster:
        one = await cluster.start("n1")
        two = await cluster.start("n2")
        del cluster.network.listeners[address_of("n2")]
        await one.until("incoming n2 1 control", "incoming n2 1 data")
        two.links.disconnect("n1", "a test")
        await trio.sleep(5)
        assert not [line for line in one.heard if line.startswith(("dead", "up"))]


async def test_a_restarted_node_ends_its_old_life(autojump_clock):
    async with cluster_of() as cluster:
        one, _ = await cluster.start_all()
        cluster.kill("n2")
        two = await cluster.start("n2", life=2)  # faster than any look at its port
        await one.until_up("n2", life=2)
        await two.until_up("n1")
        dead = one.heard.index("dead n2 1")
        closed = [one.heard.index(f"{event} n2 1 {lane}") for event in ("down", "incoming_closed") for lane in LANES]
        opened = [one.heard.index(f"{event} n2 2 {lane}") for event in ("up", "incoming") for lane in LANES]
        assert max(closed) < dead < min(opened)
        assert one.heard.count("dead n2 1") == 1


async def test_a_node_that_comes_back_is_dialled_as_soon_as_it_dials(autojump_clock):
    for seed in range(10):
        async with cluster_of(2, seed) as cluster:
            one, _ = await cluster.start_all()
            cluster.kill("n2")
            await trio.sleep(30)
            started = trio.current_time()
            await cluster.start("n2", life=2)
            await one.until_up("n2", life=2)
            assert trio.current_time() - started < 0.1


async def test_another_folder_at_the_address_ends_the_life_but_one_that_dials_does_not(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        impostor = Links(
            cluster.network.host("elsewhere"),
            Credentials(Identity("n2", 9, "another folder"), cluster="test", cookie=COOKIE),
            {"n1": address_of("n1")},
            Random(1),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(impostor.run, await cluster.network.host("elsewhere").listen("elsewhere:1"))
            await trio.sleep(10)
            assert one.heard == []
            nursery.cancel_scope.cancel()
        cluster.kill("n2")
        two = await cluster.start("n2", life=1, folder="another folder")
        await two.until_up("n1")
        assert "dead n2 1" in one.heard
        assert one.links.identity("n2") == ("n2", 1, "another folder")


async def test_a_frozen_node_is_silent_and_not_dead(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        cluster.network.freeze("n2")
        one.links.send("n2", "data", NOTE, b"while frozen")
        await trio.sleep(30)
        assert one.heard == []
        assert two.heard == []
        cluster.network.thaw("n2")
        await two.until("note n1 while frozen")
        assert one.heard == []


async def test_a_frozen_node_that_was_given_up_comes_back_in_the_same_life(autojump_clock):
    async with cluster_of() as cluster:
        one, _ = await cluster.start_all()
        cluster.network.freeze("n2")
        one.links.disconnect("n2", "silent for too long")
        await trio.sleep(30)
        assert "dead n2 1" not in one.heard
        one.heard.clear()
        cluster.network.thaw("n2")
        await one.until_up("n2")
        assert "dead n2 1" not in one.heard


async def test_a_cut_is_silence_and_ends_without_a_reset(autojump_clock):
    for one_way in (False, True):
        async with cluster_of() as cluster:
            one, two = await cluster.start_all()
            cluster.network.cut("n1", "n2", one_way=one_way)
            one.links.send("n2", "data", NOTE, b"late")
            two.links.send("n1", "data", NOTE, b"back")
            await trio.sleep(20)
            assert two.heard == []
            assert one.heard == (["note n2 back"] if one_way else [])
            cluster.network.heal()
            await two.until("note n1 late")
            await one.until("note n2 back")


async def test_a_kill_behind_a_cut_is_seen_only_after_it(autojump_clock):
    async with cluster_of() as cluster:
        one, _ = await cluster.start_all()
        cluster.network.cut("n1", "n2")
        cluster.kill("n2")
        await trio.sleep(20)
        assert one.heard == []
        cluster.network.heal()
        await one.until("dead n2 1")


async def test_a_lane_that_is_not_read_is_given_up_before_it_eats_the_memory(autojump_clock):
    async with cluster_of(backlog_bytes_max=1_000_000) as cluster:
        one, _ = await cluster.start_all()
        cluster.network.freeze("n2")
        sent = 0
        while one.links.send("n2", "data", NOTE, bytes(100_000)) > 0:
            assert one.links.backlog_bytes("n2") <= 1_100_100
            sent += 1
            await trio.sleep(0.01)
        assert 9 <= sent <= 13
        await one.until("down n2 1 data")
        assert one.links.backlog_bytes("n2") == 0
        assert one.links.is_up("n2", "control")


async def test_one_frame_may_be_longer_than_all_that_may_wait(autojump_clock):
    async with cluster_of(backlog_bytes_max=100_000) as cluster:
        one, _ = await cluster.start_all()
        assert one.links.send("n2", "data", NOTE, bytes(1_000_000)) > 0
        assert one.links.send("n2", "data", NOTE, bytes(1)) == -1


def test_a_frame_takes_the_longest_message_that_can_be_configured():
    longest = FRAME_BYTES_MAX - 1024 * 1024
    with pytest.raises(ValidationError):
        NodeSettings(max_message_size=longest)


async def test_whoever_waits_for_room_hears_of_it_and_of_the_end(autojump_clock):
    async with cluster_of() as cluster:
        one, _ = await cluster.start_all()
        for _ in range(20):
            one.links.send("n2", "data", NOTE, bytes(100_000))
        assert one.links.backlog_bytes("n2") > 1_900_000
        assert await one.links.drained("n2", "data", 100_000)
        assert one.links.backlog_bytes("n2") <= 100_000
        cluster.network.freeze("n2")
        for _ in range(20):
            one.links.send("n2", "data", NOTE, bytes(100_000))
        with trio.move_on_after(1):
            await one.links.drained("n2", "data", 0)
            raise AssertionError("nobody reads")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def give_up():
                await trio.sleep(1)
                one.links.disconnect("n2", "a test")

            assert not await one.links.drained("n2", "data", 0)
        assert not await one.links.drained("n2", "data", 0)


async def test_a_pretended_cut_is_silence_on_both_sides(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        one.links.block("n2", "in")
        one.links.block("n2", "out")
        assert one.links.blocked() == {"n2": ["in", "out"]}
        assert one.links.send("n2", "data", NOTE, b"lost") > 0
        two.links.send("n1", "data", NOTE, b"lost")
        await trio.sleep(20)
        assert one.heard == two.heard == []
        one.links.unblock("n2", "in")
        await trio.sleep(1)
        assert one.heard == two.heard == []
        one.links.unblock("n2", "out")
        await one.until_up("n2")
        await two.until_up("n1")
        assert one.links.blocked() == {}
        one.links.send("n2", "data", NOTE, b"a")
        two.links.send("n1", "data", NOTE, b"b")
        await two.until("note n1 a")
        await one.until("note n2 b")
        assert "note n1 lost" not in two.heard
        assert two.offsets[-1] == one.links.offset("n2", "data")


@pytest.mark.parametrize(
    ("direction", "heard_by_one", "heard_by_two"), [("in", [], ["note n1 a"]), ("out", ["note n2 b"], [])]
)
async def test_a_cut_of_one_direction_leaves_the_other(autojump_clock, direction, heard_by_one, heard_by_two):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        one.links.block("n2", direction)
        one.links.send("n2", "data", NOTE, b"a")
        two.links.send("n1", "data", NOTE, b"b")
        await trio.sleep(1)
        assert (one.heard, two.heard) == (heard_by_one, heard_by_two)


async def test_behind_a_pretended_cut_no_greeting_is_answered_and_no_death_seen(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        one.links.block("n2", "in")
        two.links.disconnect("n1", "silent for too long")
        await trio.sleep(20)
        assert one.heard == []
        assert "dead n1 1" not in two.heard
        cluster.kill("n2")
        await trio.sleep(20)
        assert one.heard == []
        one.links.unblock("n2", "in")
        await one.until("dead n2 1")


async def test_a_cut_from_both_ends_mends_as_soon_as_the_second_end_does(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        for node, other in ((one, "n2"), (two, "n1")):
            node.links.block(other, "in")
            node.links.block(other, "out")
        await trio.sleep(20)
        for direction in ("in", "out"):
            one.links.unblock("n2", direction)
        await trio.sleep(1)
        for direction in ("in", "out"):
            two.links.unblock("n1", direction)
        mended_at = trio.current_time()
        one.heard.clear()
        await one.until_up("n2")
        await two.until_up("n1")
        assert trio.current_time() - mended_at < 1.1


async def test_members_come_and_go(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        cluster.names.append("n3")
        three = await cluster.start("n3")
        await trio.sleep(3)
        assert three.heard == [], "not a member yet"
        one.links.add_peer("n3", address_of("elsewhere"))
        one.links.add_peer("n3", address_of("n3"))
        await one.until_up("n3")
        one.links.remove_peer("n2")
        await two.until(*(f"{event} n1 1 {lane}" for event in ("down", "incoming_closed") for lane in LANES))
        two.heard.clear()
        await trio.sleep(3)
        assert two.heard == [], "a stranger now"
        assert one.links.send("n2", "data", NOTE, b"") == -1
        assert not one.links.is_up("n2", "data")


async def test_a_frame_that_nobody_handles_ends_the_connection(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        one.links.send("n2", "data", NOTE + 1, b"")
        await two.until("incoming_closed n1 1 data")
        await one.until("up n2 1 data")


async def test_after_a_disconnect_no_frame_of_that_connection_is_heard(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        two.links.handle(NOTE + 1, lambda peer, payload, offset: two.links.disconnect(peer, "a test"))
        one.links.send("n2", "data", NOTE, b"before")
        one.links.send("n2", "data", NOTE + 1, b"")
        one.links.send("n2", "data", NOTE, b"after")
        await trio.sleep(1)
        assert "note n1 before" in two.heard
        assert "note n1 after" not in two.heard


async def test_a_bug_in_a_handler_climbs(autojump_clock):
    async def send_what_breaks_it():
        async with cluster_of() as cluster:
            one, two = await cluster.start_all()
            two.links.handle(NOTE + 1, lambda peer, payload, offset: {}[peer])
            one.links.send("n2", "data", NOTE + 1, b"")
            await trio.sleep(1)

    with pytest.raises(ExceptionGroup) as caught:
        await send_what_breaks_it()
    assert caught.group_contains(KeyError)
