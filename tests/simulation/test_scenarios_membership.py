"""Acceptance scenarios 25 to 27, and the life of a cluster: members come, go, return blank, restart one by one."""

from dataclasses import replace
from random import Random

import pytest
import trio

from broker.cluster.refusal import Refused
from broker.node.membership import Orders, Standing
from broker.node.partition_handling import PartitionHandling
from tests.simulation.cluster_life import (
    IGNORE,
    add_hosts,
    ask,
    grow,
    members,
    order,
    play_in,
    reason,
    shrink,
    start_app,
    state,
    stop_all,
    stop_app,
    voters,
)
from tests.simulation.disk import SimDisk
from tests.simulation.stage import Stage, bodies, play
from tests.simulation.world import HA_ALL, MAJORITY, NET_TICKTIME_S, World, simulate, until


@pytest.mark.slow
def test_a_cluster_grows_from_one_to_five_and_shrinks_to_one_under_load() -> None:
    """Nothing confirmed is lost, whoever comes and goes (S13)."""
    sent: list[bytes] = []

    async def publish(stage: Stage, stop: trio.Event) -> None:
        client = await stage.client("n1", "publisher")
        await client.confirm_select()
        while not stop.is_set():
            batch = bodies(5, len(sent) + 1)
            await client.publish_all("q", batch)
            sent.extend(batch)
            await trio.sleep(0.05)

    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.set_policy(HA_ALL)
        await (await stage.client("n1")).declare("q")
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish, stage, stop)
            for name in ("n2", "n3", "n4", "n5"):
                await grow(world, name)
            assert voters(world) == {"n1", "n2", "n3", "n4", "n5"}
            await until(world.synchronised, 30)
            assert {life.node for life in world.queue("q").in_sync} == set(world.hosts)
            for name in ("n5", "n4", "n3", "n2"):
                await shrink(world, name)
            stop.set()
        assert voters(world) == {"n1"}
        assert members(world, "n1") == ["n1"]
        assert len(sent) > 100
        assert await (await stage.client("n1")).drain("q") == sent

    simulate(1, story, names=["n1"])


@pytest.mark.slow
def test_the_founders_may_all_be_replaced() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 20)
        for new, old in (("n4", "n1"), ("n5", "n2"), ("n6", "n3")):
            await grow(world, new)
            await until(world.synchronised, 30)
            await shrink(world, old)
        assert members(world, "n5") == ["n4", "n5", "n6"]
        world.kill("n4", "n5", "n6", power=True)
        await trio.sleep(1)
        world.start("n5", "n6")
        await until(world.synchronised, 30)
        world.start("n4")
        await world.ready()
        assert await (await stage.client("n4")).drain("q") == bodies(20)

    simulate(2, story)


def test_an_app_is_stopped_and_started_while_its_process_stays() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        process = world.hosts["n1"].node
        await stop_app(world, "n1")
        assert reason(world, "n1") == ("the broker was stopped by stop_app: `warren ctl -n n1 start_app` starts it")
        await until(lambda: stage.placed("q")[0] == "n2", 10)
        await order(world, "n1", "stop_app")
        await start_app(world, "n1")
        assert world.hosts["n1"].node is process
        await until(world.synchronised, 20)
        assert await (await stage.client("n1")).drain("q") == bodies(10)
        with pytest.raises(Refused, match="stop_app stops it"):
            await order(world, "n1", "reset")

    play(scenario)


def test_scenario_25_a_forgotten_node_is_refused_until_it_is_reset() -> None:
    """Its unmirrored queues are gone with it; what was mirrored stays."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await (await stage.client("n3")).declare("own")
        await stage.set_policy(HA_ALL, pattern="^q")
        await stage.filled("q", 10)
        with pytest.raises(Refused, match="n3 must be stopped before it can be removed"):
            await ask(world, "forget_member", node="n3")
        await world.stop("n3")
        await ask(world, "forget_member", node="n3")
        with pytest.raises(KeyError):
            world.queue("own")
        await until(lambda: voters(world) == {"n1", "n2"}, 10)
        world.start("n3")
        await until(lambda: state(world, "n3") == "failed", 20)
        assert "Node 'n3' thinks it's clustered with node 'n" in reason(world, "n3")
        assert "disagrees" in reason(world, "n3")
        await trio.sleep(1.5)
        await order(world, "n3", "reset")
        await start_app(world, "n3")
        assert members(world, "n3") == ["n3"]
        assert await (await stage.client("n2")).count("q") == 10
        with pytest.raises(KeyError):
            world.queue("q", at="n3")
        await stop_app(world, "n3")
        assert await order(world, "n3", "join_cluster", target="n1") == {"already": False}
        assert await order(world, "n3", "join_cluster", target="n1") == {"already": True}
        await start_app(world, "n3")
        await until(lambda: voters(world) == {"n1", "n2", "n3"}, 20)
        await until(world.synchronised, 20)
        assert await (await stage.client("n3")).drain("q") == bodies(10)

    play(scenario)


@pytest.mark.slow
def test_scenario_25_refusals() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stop_app(world, "n3")
        with pytest.raises(Refused, match="cannot cluster node with itself"):
            await order(world, "n3", "join_cluster", target="n3")
        with pytest.raises(Refused, match="nobody here knows where n9 is dialled"):
            await order(world, "n3", "join_cluster", target="n9")
        with pytest.raises(Refused, match=r"The node selected is not in the cluster\."):
            await order(world, "n3", "forget_offline", node="n9")
        with pytest.raises(Refused, match="all the other nodes must be offline"):
            await order(world, "n3", "forget_offline", node="n1")
        await order(world, "n3", "force_reset")
        with pytest.raises(Refused, match="Node 'n1' thinks it's clustered with node 'n3', but 'n3' disagrees"):
            await order(world, "n3", "join_cluster", target="n1")
        await ask(world, "forget_member", node="n3")
        with pytest.raises(Refused, match="do not have this node as part of the cluster"):
            await order(world, "n3", "update_cluster_nodes", target="n1")
        assert await order(world, "n3", "join_cluster", target="n1") == {"already": False}
        world.kill("n1", "n2")
        with pytest.raises(Refused, match=r"You cannot leave a cluster if no online nodes are present\."):
            await order(world, "n3", "reset")

    play(scenario)


@pytest.mark.slow
def test_a_node_resets_itself_out_of_its_cluster() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.filled("q", 10)
        await stop_app(world, "n3")
        await order(world, "n3", "reset")
        await until(lambda: voters(world) == {"n1", "n2"}, 10)
        assert members(world, "n1") == ["n1", "n2"]
        world.kill("n3")
        world.start("n3")
        await until(lambda: "n3" in world.serving(), 20)
        assert members(world, "n3") == ["n3"]
        assert await (await stage.client("n2")).count("q") == 10

    play(scenario)


@pytest.mark.slow
def test_a_reset_that_was_cut_short_is_finished() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stop_app(world, "n3")
        node = world.hosts["n3"].node
        assert node is not None
        await ask(world, "forget_member", node="n3")
        await node.membership.order(Orders(reset=True), {"n3": "n3:25672"})
        world.kill("n3", power=True)
        world.start("n3")
        await until(lambda: "n3" in world.serving(), 20)
        assert members(world, "n3") == ["n3"]

    play(scenario)


@pytest.mark.slow
def test_a_rolling_restart_loses_nothing_and_always_serves() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        for number, name in enumerate(world.hosts):
            await world.stop(name)
            await until(lambda: stage.row("q")["state"] == "running", 5)
            other = world.serving()[0]
            client = await stage.client(other)
            await client.confirm_select()
            await client.publish_all("q", bodies(10, 10 * (number + 1) + 1))
            world.start(name)
            await world.ready()
            await until(world.synchronised, 20)
        assert await (await stage.client("n1")).drain("q") == bodies(40)

    play(scenario)


def test_a_node_with_an_empty_disk_comes_back_under_its_old_name() -> None:
    """It has no vote before a quorum that does not need it has admitted it (S13)."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        before = voters_with_folders(world)
        world.kill("n3")
        world.hosts["n3"].disk = SimDisk(Random(3))
        world.kill("n2")
        world.start("n3")
        await trio.sleep(10)
        assert world.serving() == [], "of three with a memory one is no majority, whoever else is there"
        assert "n2" in reason(world, "n1")
        world.start("n2")
        await world.ready()
        await until(world.synchronised, 20)
        after = voters_with_folders(world)
        assert after.keys() == before.keys()
        assert after["n3"] != before["n3"]
        world.kill("n1")
        assert await (await stage.client("n3")).drain("q") == bodies(10)

    play(scenario)


def voters_with_folders(world: World) -> dict[str, str]:
    """Likewise, with the folder in which each has its memory."""
    tree = world.tree(world.leader() or "n1")
    assert tree is not None
    return tree.voters


@pytest.mark.slow
def test_a_stopped_member_gets_another_name_and_keeps_its_copies() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        only = await stage.client("n2")
        await stage.clear_policy()
        await only.declare("only")
        await only.confirm_select()
        await only.publish_all("only", bodies(5))
        await stage.set_policy(HA_ALL, pattern="^q")
        await world.stop("n2")
        await ask(world, "rename_member", node="n2", name="m2")
        disk = world.hosts.pop("n2").disk
        add_hosts(world, "m2")
        world.hosts["m2"].disk = disk
        world.start("m2")
        await world.ready()
        await until(lambda: voters(world) == {"n1", "m2", "n3"}, 20)
        await until(lambda: world.synchronised("q"), 20)
        assert members(world, "m2") == ["m2", "n1", "n3"]
        assert await (await stage.client("n3")).drain("only") == bodies(5)
        world.kill("n1")
        assert await (await stage.client("m2")).drain("q") == bodies(10)

    play(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("survivor", ["n2", "n3"])
def test_scenario_26_a_stopped_node_forgets_all_others_and_starts_with_everything(survivor: str) -> None:
    """With `ignore`: stop C, B, A; forget A and C offline on B, which has what it had when it stopped; likewise C."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        await stop_all(stage, "n3", "n2", "n1")
        others = tuple(name for name in ("n1", "n2", "n3") if name != survivor)
        host = world.hosts[survivor]
        standing = await Standing.read(host.disk)
        await replace(standing, orders=Orders(force_boot=True, forget=others)).write(host.disk)
        world.start(survivor)
        await until(lambda: survivor in world.serving(), 30)
        await until(lambda: stage.row("q")["state"] == "running", 10)
        assert members(world, survivor) == [survivor]
        await until(lambda: voters(world) == {survivor}, 10)
        kept = {"n3": 10, "n2": 20}[survivor]
        assert await (await stage.client(survivor)).drain("q") == bodies(kept)
        world.start(others[0])
        await until(lambda: state(world, others[0]) == "failed", 30)
        assert f"Node '{others[0]}' thinks it's clustered with node '{survivor}'" in reason(world, others[0])

    play_in(IGNORE, scenario)


@pytest.mark.slow
def test_scenario_27_who_stopped_last_starts_alone_and_the_others_wait_for_it() -> None:
    """With `ignore`; a node that waits says for whom, and goes on waiting."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        await stop_all(stage, "n3", "n2", "n1")
        world.start("n3")
        world.start("n2")
        await trio.sleep(20)
        assert world.serving() == []
        assert "n1" in reason(world, "n2")
        world.kill("n2", "n3")
        world.start("n1")
        await until(lambda: world.serving() == ["n1"], 30)
        assert await (await stage.client("n1")).count("q") == 30
        world.start("n2", "n3")
        await world.ready()
        await until(world.synchronised, 30)
        assert await (await stage.client("n3")).drain("q") == bodies(30)

    play_in(IGNORE, scenario)


@pytest.mark.parametrize("handling", [MAJORITY, IGNORE], ids=["pause_minority", "ignore"])
def test_scenario_25_force_boot_goes_on_without_those_who_are_waited_for(handling: PartitionHandling) -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        await world.stop("n3")
        world.kill("n2", "n1")
        world.start("n2")
        await trio.sleep(5)
        assert world.serving() == []
        await stop_app(world, "n2")
        await order(world, "n2", "force_boot")
        await start_app(world, "n2")
        node = world.hosts["n2"].node
        assert node is not None
        assert node.membership.standing.orders == Orders(), "for one start only"
        await trio.sleep(2 * NET_TICKTIME_S)
        for name in ("n1", "n3"):
            await ask(world, "forget_member", node=name)
        await until(lambda: voters(world) == {"n2"}, 10)
        assert await (await stage.client("n2")).drain("q") == bodies(10)

    play_in(handling, scenario)


@pytest.mark.slow
@pytest.mark.parametrize("handling", [PartitionHandling(), IGNORE], ids=["auto", "ignore"])
def test_a_cluster_without_a_majority_rule_grows_and_shrinks(handling: PartitionHandling) -> None:
    """`auto` changes its rule with two members, and back."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        for name in ("n2", "n3", "n4"):
            await grow(world, name)
            await until(world.synchronised, 30)
        for name in ("n1", "n4", "n2"):
            await shrink(world, name)
        assert voters(world) == {"n3"}
        assert await (await stage.client("n3")).drain("q") == bodies(10)

    play_in(handling, scenario, names=["n1"])
