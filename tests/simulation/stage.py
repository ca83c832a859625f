"""What scenarios have in common: a cluster with clients at hand, policies, queues as `status` shows them."""

from collections.abc import Awaitable, Callable
from typing import Any

from broker.wire.content import body_of
from broker.wire.events import Delivered
from tests.simulation.client import CAPABILITIES, Client, connect
from tests.simulation.judges import ranges_held
from tests.simulation.world import USER, World, simulate, until


class Stage:
    """A running cluster of three, seen from outside."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def client(self, node: str, name: str = "client", capabilities: dict[str, bool] = CAPABILITIES) -> Client:
        """A client of this node, on a machine of its own."""
        world = self.world
        return await connect(world.nursery, world.network.host(name), f"{node}:5672", USER, capabilities)

    async def filled(self, queue: str, count: int, node: str = "n1", **declaration: Any) -> Client:
        """Declare a queue at a node and put so many confirmed messages into it."""
        client = await self.client(node, "filler")
        await client.declare(queue, **declaration)
        await client.confirm_select()
        await client.publish_all(queue, bodies(count))
        return client

    # ------------------------------------------------------------------ policies

    async def set_policy(self, definition: dict[str, Any], name: str = "p", **fields: Any) -> None:
        """As `warren policy set` does."""
        request = {"do": "put_policy", "vhost": "/", "name": name, "pattern": "^", "definition": definition, **fields}
        await self._propose(request)

    async def clear_policy(self, name: str = "p", *, operator: bool = False) -> None:
        """As `warren policy clear` does."""
        await self._propose({"do": "clear_policy", "vhost": "/", "name": name, "operator": operator})

    async def _propose(self, request: dict[str, Any]) -> None:
        tree = self.world.tree(self.world.serving()[0])
        assert tree is not None
        await tree.propose(request)

    async def synchronise(self, queue: str) -> None:
        """As `warren sync` does, at the first node that serves."""
        hall = self.world.hall(self.world.serving()[0])
        assert hall is not None
        await hall.synchronise(hall.catalogue.handles[self.world.queue(queue).id], start=True)

    # ------------------------------------------------------------------ queues

    def row(self, queue: str, at: str | None = None) -> dict[str, Any]:
        """A queue as `status` shows it; by default at its master's node, which can count."""
        name = at or self.world.queue(queue).master.node
        if name not in self.world.serving():
            name = self.world.serving()[0]
        node = self.world.hosts[name].node
        assert node is not None
        return next(row for row in node.report.queues() if row["name"] == queue)

    def placed(self, queue: str) -> tuple[str | None, frozenset[str] | None]:
        """Master and mirrors; None for mirrors that are not shown at all."""
        row = self.row(queue)
        return row["master"], None if row["mirrors"] is None else frozenset(row["mirrors"])

    async def comes_to(self, queue: str, master: str | None, *mirrors: str) -> None:
        """Wait until a mirrored queue is placed so, all in sync."""
        await until(lambda: self.placed(queue) == (master, frozenset(mirrors)), 10)
        await until(lambda: set(self.row(queue)["in_sync"]) == set(mirrors), 10)

    def copies_are_equal(self, queue: str, *nodes: str) -> bool:
        """Whether the copies on these nodes hold the same living positions."""
        return len({tuple(ranges_held(self.world, queue, node)) for node in nodes}) == 1


def bodies(count: int, first: int = 1) -> list[bytes]:
    """Numbered messages."""
    return [b"%d" % number for number in range(first, first + count)]


class Inbox:
    """Everything that one consumer gets, in order."""

    def __init__(self, client: Client) -> None:
        self.bodies: list[bytes] = []
        self.flags: list[bool] = []
        self.tags: list[int] = []
        client.on_deliver = self._take

    def _take(self, event: Delivered) -> None:
        for tag, content in enumerate(event.contents, event.first_tag):
            self.bodies.append(body_of(content))
            self.flags.append(event.redelivered)
            self.tags.append(tag)


Scenario = Callable[[Stage], Awaitable[None]]


def play(scenario: Scenario, seed: int = 1) -> None:
    """Run a scenario on a cluster of three running nodes."""

    async def story(world: World) -> None:
        await scenario(Stage(world))

    simulate(seed, story)
