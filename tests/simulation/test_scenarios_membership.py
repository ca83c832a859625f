"""Acceptance scenarios 25 to 27, and the life of a cluster: members come, go, return blank, restart one by one."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations
from random import Random

import pytest
import trio

from broker.cluster import schema
from broker.cluster.refusal import Refused
from broker.node.configuration import Address
from broker.node.configuration import Node as NodeSection
from broker.node.membership import Orders, Standing
from broker.node.partition_handling import PartitionHandling
from tests.simulation.disk import SimDisk
from tests.simulation.stage import Scenario, Stage, bodies, play
from tests.simulation.world import HA_ALL, MAJORITY, NAMES, NET_TICKTIME_S, Host, World, simulate, until


def add_hosts(world: World, *names: str) -> None:
    """Machines, and a cluster's file that names them, too; nodes that run already do not read it."""
    settings = world.cluster.nodes[0].settings
    sections = [
        NodeSection(name, Address(name, 5672), Address(name, 15672), Address(name, 25672), settings) for name in names
    ]
    world.cluster = replace(world.cluster, nodes=(*world.cluster.nodes, *sections))
    for name in names:
        world.hosts[name] = Host(name, SimDisk(Random(f"disk of {name} {world.seed}")))


async def ask(world: World, do: str, *, at: str | None = None, **members: object) -> dict[str, object]:
    """A change of the shared state, at any node that serves."""
    tree = world.tree(at or world.serving()[0])
    assert tree is not None
    return await tree.propose({"do": do, **members})


def voters(world: World) -> set[str]:
    """Who has a vote, as the leader sees it."""
    name = world.leader()
    tree = None if name is None else world.tree(name)
    return set() if tree is None else set(tree.voters)


async def grow(world: World, name: str) -> None:
    """One more member, as `warren apply` makes it."""
    add_hosts(world, name)
    world.start(name)
    await ask(world, "add_member", node=name, link=f"{name}:25672")
    await until(lambda: name in world.serving() and name in voters(world), 30)


async def shrink(world: World, name: str) -> None:
    """One member less, likewise; its machine goes, too."""
    keeper = next(other for other in world.serving() if other != name)
    await until(world.synchronised, 30)
    await ask(world, "retire_member", node=name, at=keeper)
    await until(lambda: voters(world) and name not in voters(world), 30)
    await world.stop(name)
    tree = world.tree(keeper)
    assert tree is not None

    def has_ended() -> bool:
        record = schema.member(tree.tree, name)
        return record is not None and not record.running

    await until(lambda: world.tree(keeper) is tree and has_ended() and world.leader(), 30)
    await ask(world, "forget_member", node=name, at=keeper)
    del world.hosts[name]


def members(world: World, at: str) -> list[str]:
    """The members as a node has them."""
    node = world.hosts[at].node
    assert node is not None
    return sorted(node.membership.names)


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


# -- the commands of an operator ---------------------------------------------------------------------------------------


async def order(world: World, name: str, do: str, **members: object) -> dict[str, object]:
    """A command to one node whose process stays. Raises Refused."""
    node = world.hosts[name].node
    assert node is not None
    return await node.application.verbs[do]({"do": do, **members})


async def stop_app(world: World, name: str) -> None:
    """As `warren ctl stop_app`: returns when the broker has stopped."""
    await order(world, name, "stop_app")
    await until(lambda: state(world, name) == "stopped", 15)
    await trio.sleep(1.5)  # its address refuses for a second, then it answers commands


async def start_app(world: World, name: str) -> None:
    """Likewise."""
    await order(world, name, "start_app")
    await until(lambda: name in world.serving(), 30)


def state(world: World, name: str) -> str:
    """In `status`."""
    node = world.hosts[name].node
    assert node is not None
    return node.report.state


def reason(world: World, name: str) -> str:
    """In `status`."""
    node = world.hosts[name].node
    assert node is not None
    return node.report.why_not_serving()


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


# -- starts ------------------------------------------------------------------------------------------------------------


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


# -- clocks and slow machines ------------------------------------------------------------------------------------------

HOUR_MS = 3_600_000


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


# -- without a majority ------------------------------------------------------------------------------------------------

IGNORE = PartitionHandling("ignore")


def play_in(handling: PartitionHandling, scenario: Scenario, names: Iterable[str] = NAMES) -> None:
    """As `play`, with another `partition_handling`."""

    async def story(world: World) -> None:
        await scenario(Stage(world))

    simulate(1, story, handling=handling, names=names)


async def stop_all(stage: Stage, *order_of_stop: str) -> None:
    """One after the other, with messages between, so that each knows less than the next."""
    for number, name in enumerate(order_of_stop):
        if number:
            client = await stage.client(order_of_stop[-1], f"between {number}")
            await client.confirm_select()
            await client.publish_all("q", bodies(10, 10 * number + 1))
        await stage.world.stop(name)
        await trio.sleep(1)


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
