"""What scenarios about the life of a cluster have in common: members that come and go, and an operator's commands."""

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import trio

from broker.cluster import schema
from broker.node.configuration import Address
from broker.node.configuration import Node as NodeSection
from broker.node.partition_handling import PartitionHandling
from tests.simulation.disk import SimDisk
from tests.simulation.stage import Scenario, Stage, bodies
from tests.simulation.world import NAMES, Host, World, simulate, until

IGNORE = PartitionHandling("ignore")


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
