"""A node whose disk fails hands its queues over and says why; nothing confirmed is lost, whatever fails when."""

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
import trio

from broker.storage.reserve import LOOK_EVERY_S, NAME
from broker.vhosts.upkeep import EVERY_S
from broker.wire.content import body_of
from tests.simulation.course import brief, run_seed
from tests.simulation.disk import SimDisk
from tests.simulation.homes import Home
from tests.simulation.stage import bodies
from tests.simulation.world import HA_ALL, World, policy, simulate, until

MORE_SEEDS = int(os.environ.get("WARREN_SEEDS") or 15)
DISKS = brief(
    (
        "disk",
        "disk",
        "disk master",
        "disk master",
        "disk leader",
        "kill",
        "kill master",
        "stop",
        "freeze master",
    ),
    steps=3,
)
HAND_OVER_S = 0.2
"""A mirror is master before detection would even have begun."""

FAULTS: dict[str, Callable[[SimDisk], None]] = {
    "EIO when it writes": lambda disk: disk.fail("write"),
    "EIO when it syncs": lambda disk: disk.fail("sync"),
    "a file system that is read-only now": lambda disk: disk.fail("write", code=errno.EROFS),
    "no room, though the reserve was given up": lambda disk: setattr(disk, "full", True),
    "a metadata log that cannot be written": lambda disk: disk.fail("write", under="zab/"),
}
OFTEN = ("EIO when it syncs", "a metadata log that cannot be written")
"""Run by default."""


def often(*names: str) -> list[Any]:
    """The faults, most of them for the slow run."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in FAULTS]


@pytest.mark.parametrize("seed", range(1))
def test_nothing_confirmed_is_lost(seed: int) -> None:
    run_seed(seed, DISKS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4 + MORE_SEEDS))
def test_nor_by_more_seeds(seed: int) -> None:
    run_seed(seed, DISKS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(MORE_SEEDS))
def test_nor_with_slow_disks_and_more_of_everything(seed: int) -> None:
    run_seed(seed, brief(DISKS.faults, steps=6, publishers=2, consumers=2, disk_delay_s_max=0.03))


@pytest.mark.parametrize("leads", [False, True], ids=["follower", "leader"])
@pytest.mark.parametrize("fault", often(*OFTEN))
def test_masters_are_handed_over_at_once_and_the_node_says_why(fault: str, leads: bool) -> None:
    async def story(world: World) -> None:
        going = world.leader() if leads else next(name for name in world.hosts if name != world.leader())
        assert going is not None
        stays = next(name for name in world.hosts if name != going)
        client = await Home(world, "c1").connect(going)
        await client.declare("orders")
        await client.confirm_select()
        await client.publish_all("orders", [b"kept"])
        assert world.queue("orders").master.node == going
        confirmed: list[bytes] = []
        client.on_confirm = lambda body, acked: confirmed.append(body)
        FAULTS[fault](world.hosts[going].disk)
        if "metadata" in fault:
            world.nursery.start_soon(_write_metadata, world, stays)
        else:
            client.publish("orders", b"late")
            await client.flush()
        began = trio.current_time()
        await until(lambda: world.queue("orders", at=stays).master.node != going, 10, 0.01)
        assert trio.current_time() - began < (1.0 if leads else HAND_OVER_S)
        assert not confirmed
        node = world.hosts[going].node
        assert node is not None
        assert node.report.state == "failed"
        await until(lambda: node.report.failure, 5)
        assert "mend the disk, then `warren restart" in node.report.why_not_serving()
        assert [event["text"] for event in node.timeline.since(0) if event["kind"] == "disk"]
        other = world.hosts[stays].node
        assert other is not None
        ends = [event for event in other.timeline.since(0) if event.get("change") == "ended"]
        assert [(event["node"], event["why"]) for event in ends] == [(going, "disk")]
        heir = await Home(world, "c2").connect(stays)
        assert (await heir.drain("orders"))[0] == b"kept"
        await heir.confirm_select()
        await heir.publish_all("orders", [b"after"])
        world.hosts[going].disk.mend()
        world.restart_failed()
        await world.ready()
        await until(lambda: world.synchronised("orders"), 10)

    simulate(1, story, policies=[policy(HA_ALL)])


async def _write_metadata(world: World, name: str) -> None:
    tree = world.tree(name)
    assert tree is not None
    await tree.propose({"do": "put_vhost", "name": "more"})


@pytest.mark.parametrize("fault", often("EIO when it syncs"))
def test_a_node_alone_serves_everything_confirmed_once_its_disk_is_mended(fault: str) -> None:
    async def story(world: World) -> None:
        client = await Home(world, "c1").connect("n1")
        await client.declare("orders")
        await client.confirm_select()
        await client.publish_all("orders", bodies(50))
        confirmed: list[bytes] = []
        client.on_confirm = lambda body, acked: confirmed.append(body)
        FAULTS[fault](world.hosts["n1"].disk)
        if "metadata" in fault:
            world.nursery.start_soon(_write_metadata, world, "n1")
        else:
            client.publish("orders", b"late")
            await client.flush()
        node = world.hosts["n1"].node
        assert node is not None
        await until(lambda: node.report.failure, 10)
        assert not confirmed
        world.hosts["n1"].disk.mend()
        await world.stop("n1")
        world.start()
        await world.ready()
        again = await Home(world, "c1").connect("n1")
        assert (await again.drain("orders"))[:50] == bodies(50)

    simulate(1, story, names=["n1"])


def test_a_full_disk_makes_publishers_wait_and_everybody_else_goes_on_in_the_reserve() -> None:
    """The disk is full from one moment to the next: no alarm has looked in between."""

    async def story(world: World) -> None:
        host = world.hosts["n1"]
        hall = world.hall("n1")
        client = await Home(world, "c1").connect("n1")
        await client.declare("orders")
        await client.confirm_select()
        await client.publish_all("orders", bodies(50))
        assert NAME in host.disk.sizes()
        host.disk.bytes_max = sum(host.disk.sizes().values())
        await client.publish_all("orders", [b"in the reserve"])
        await trio.sleep(2 * EVERY_S)
        client.publish("orders", b"waits")
        await client.flush()
        await client.wait_for(lambda: client.blocked)
        assert client.blocked == "low on disk"
        assert list(client.unconfirmed.values()) == [b"waits"]
        reader = await Home(world, "c2").connect("n2")
        got: list[Any] = []
        reader.on_deliver = lambda delivered: got.extend(map(body_of, delivered.contents))
        await reader.consume("orders", 200)
        await until(lambda: len(got) == 51, 10)
        reader.acknowledge(0, multiple=True)
        await reader.flush()
        await until(lambda: world.queue("orders") and _is_settled(world), 10)
        assert world.hall("n1") is hall, "nobody has ended"
        host.disk.bytes_max = None
        await client.wait_for(lambda: not client.unconfirmed and not client.blocked)
        await trio.sleep(2 * LOOK_EVERY_S)
        assert NAME in host.disk.sizes()

    simulate(1, story)


@pytest.mark.parametrize("names", [("n1", "n2", "n3"), ("n1",)], ids=["mirrored", "alone"])
def test_what_rots_while_the_node_lives_costs_a_life_and_the_rest_is_served(names: tuple[str, ...]) -> None:
    async def story(world: World) -> None:
        host = world.hosts["n1"]
        client = await Home(world, "c1").connect("n1")
        await client.declare("orders")
        await client.confirm_select()
        for body in bodies(20):
            await client.publish_all("orders", [body])
        hall = world.hall("n1")
        assert hall is not None
        newest = max(name for name in host.disk.sizes() if name.startswith("journal/"))
        host.disk.damage(newest, bytes(host.disk._names[newest].seen).index(b"10\xce"))
        node = host.node
        assert node is not None
        hall._spawn(hall.switchboard.journal.load, world.queue("orders").id, 1, 20)
        await until(lambda: world.hall("n1") is not None and world.hall("n1") is not hall, 10)
        await world.ready()
        assert host.node is node, "the process goes on"
        ends = [event for event in node.timeline.since(0) if event.get("change") == "ended"]
        assert {(event["node"], event["why"]) for event in ends} == {("n1", "disk")}
        assert [name for name in host.disk.sizes() if name.startswith("quarantine/")]
        await until(lambda: world.synchronised("orders"), 10)
        again = await Home(world, "c2").connect("n1")
        expected = bodies(20) if len(names) > 1 else [body for body in bodies(20) if body != b"10"]
        assert await again.drain("orders") == expected

    simulate(1, story, names=names, policies=[policy(HA_ALL)])


def _is_settled(world: World) -> bool:
    master = world.master(world.queue("orders"))
    return master is not None and not next(master.queue.living(), None)
