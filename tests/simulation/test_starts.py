"""Starts in any order and at other addresses, clocks that are set, slow machines, and a folder that is too old."""

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest
import trio

from broker.node.configuration import Address
from tests.simulation.cluster_life import (
    reason,
    state,
)
from tests.simulation.disk import SimDisk
from tests.simulation.stage import Stage, bodies, play
from tests.simulation.world import HA_ALL, NET_TICKTIME_S, until

HOUR_MS = 3_600_000


@pytest.mark.slow
@pytest.mark.parametrize("order_of_start", list(permutations(("n1", "n2", "n3"))), ids="-".join)
def test_all_are_killed_at_once_and_come_back_in_any_order(order_of_start: tuple[str, str, str]) -> None:
    """With pause_minority the first waits, and says for whom."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        world.kill("n1", "n2", "n3", power=True)
        first, second, third = order_of_start
        world.start(first)
        await trio.sleep(5)
        assert world.serving() == []
        for missing in (second, third):
            assert missing in reason(world, first)
        world.start(second)
        await until(lambda: set(world.serving()) == {first, second}, 30)
        await until(lambda: stage.row("q")["state"] == "running", 10)
        assert await (await stage.client(second)).count("q") == 10
        world.start(third)
        await world.ready()
        await until(world.synchronised, 30)
        assert await (await stage.client(third)).drain("q") == bodies(10)

    play(scenario)


@pytest.mark.slow
def test_members_are_found_at_new_addresses_after_a_start_with_other_ports() -> None:
    """As with port 0 in the file: what the cluster has committed of addresses is no longer true."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        for name in world.hosts:
            await world.stop(name)
        moved = [replace(node, link=Address(node.name, 30000)) for node in world.cluster.nodes]
        world.cluster = replace(world.cluster, nodes=tuple(moved))
        world.start()
        await world.ready()
        await until(world.synchronised, 20)
        node = world.hosts["n1"].node
        assert node is not None
        assert node.membership.standing.members == {name: f"{name}:30000" for name in world.hosts}

    play(scenario)


@pytest.mark.slow
def test_one_node_moves_and_nobody_elses_file_knows() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await world.stop("n3")
        known = world.cluster
        nodes = [replace(node, link=Address("n3", 30000)) if node.name == "n3" else node for node in known.nodes]
        world.cluster = replace(known, nodes=tuple(nodes))
        world.start("n3")
        await world.ready()
        world.cluster = known
        world.kill("n1")
        world.start("n1")
        await world.ready()
        await until(lambda: world.leader() is not None, 10)

    play(scenario)


@pytest.mark.slow
def test_wall_clocks_that_jump_by_hours_change_nothing_but_stamps() -> None:
    """No lease, no election, no expiry of an unused queue hangs on them; only a message's TTL does."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL, pattern="^q")
        await (await stage.client("n1")).declare("unused", arguments={"x-expires": 60_000})
        await stage.filled("q", 10)
        tree = world.tree("n3")
        assert tree is not None
        epoch, term = tree.epoch, world.queue("q").term
        for name, jump_ms in (("n1", 5 * HOUR_MS), ("n2", -9 * HOUR_MS), ("n3", 3 * HOUR_MS)):
            world.hosts[name].clock_off_ms = jump_ms
            client = await stage.client(name)
            await client.confirm_select()
            await client.publish_all("q", bodies(1))
            await trio.sleep(15)
        assert (tree.epoch, world.queue("q").term) == (epoch, term)
        assert world.queue("unused").state == "running", "45 of its 60 seconds are over"
        await trio.sleep(30)
        with pytest.raises(KeyError):
            world.queue("unused")
        world.kill("n1")
        await until(lambda: stage.placed("q")[0] == "n2", 2)
        world.hosts["n2"].clock_off_ms = 4 * HOUR_MS
        world.start("n1")
        await until(world.synchronised, 20)
        assert await (await stage.client("n3")).count("q") == 13

    play(scenario)


def test_a_clock_that_went_back_does_not_keep_a_blank_node_out() -> None:
    """A new folder counts lives from the time of day on, which must not be below the lives that the others remember."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        world.kill("n3")
        world.hosts["n3"].disk = SimDisk(Random(3))
        world.hosts["n3"].clock_off_ms = -9 * HOUR_MS
        world.start("n3")
        await world.ready()
        await until(world.synchronised, 20)

    play(scenario)


async def longest_gap(stage: Stage, seconds: float) -> float:
    """Publish with confirms for so long, through n2; the longest time without a confirm."""
    client = await stage.client("n2", "publisher")
    await client.confirm_select()
    began = last = trio.current_time()
    longest = 0.0
    while trio.current_time() - began < seconds:
        await client.publish_all("q", bodies(1))
        longest = max(longest, trio.current_time() - last)
        last = trio.current_time()
        await trio.sleep(0.02)
    return longest


@pytest.mark.slow
@pytest.mark.parametrize("slow", ["n1", "n2", "n3"])
def test_slow_wires_make_a_cluster_slow_and_nothing_else(slow: str) -> None:
    """A tenth of net_ticktime each way is much: whoever waits, waits for a few ways."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        tree = world.tree(slow)
        assert tree is not None
        epoch, record = tree.epoch, world.queue("q")
        for other in world.hosts:
            if other != slow:
                world.network.slow(slow, other, NET_TICKTIME_S / 10)
        assert await longest_gap(stage, 10) < 5 * NET_TICKTIME_S / 10
        assert tree.epoch == epoch
        assert (world.queue("q").term, world.queue("q").in_sync) == (record.term, record.in_sync)

    play(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("slow", ["n1", "n3"])
def test_a_disk_that_stands_still_stops_others_for_as_long_as_the_rules_say(slow: str) -> None:
    """A mirror's is given net_ticktime, then it is out of the in-sync set (S11). The master's stops its own queue."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        world.hosts[slow].disk.stall()
        if slow == "n3":
            assert await longest_gap(stage, 10) < 2 * NET_TICKTIME_S
            assert slow not in {life.node for life in world.queue("q").in_sync}
        else:
            await trio.sleep(10)
            assert world.leader() is not None, "agreement goes on without that disk"
        world.hosts[slow].disk.mend()
        await trio.sleep(1)
        await until(world.synchronised, 20)

    play(scenario)


@pytest.mark.slow
def test_an_older_copy_that_made_a_majority_is_found_out_when_the_third_member_comes() -> None:
    """A copy of n1's folder and n2, which was stopped meanwhile, know nothing of what n1 and n3 went on to commit; n3
    does, and neither gives it up nor mixes it with theirs."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        await world.stop("n1")
        copy = SimDisk(Random(1))
        world.hosts["n1"].disk.copy_to(copy)
        await world.stop("n2")
        world.start("n1")
        await until(lambda: len(world.serving()) == 2, 20)
        await (await stage.client("n3")).declare("later")
        await stage.world.stop("n3")
        world.kill("n1")
        world.hosts["n1"].disk = copy
        world.start("n1", "n2")
        await until(lambda: len(world.serving()) == 2, 30)
        world.start("n3")
        client = await stage.client("n1")
        for number in range(20):
            await client.declare(f"q{number}")
            await trio.sleep(0.1)
        await until(lambda: state(world, "n3") == "failed", 30)
        assert "older copy of its folder" in reason(world, "n3")
        assert set(world.serving()) == {"n1", "n2"}

    play(scenario)
