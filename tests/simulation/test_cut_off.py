"""A node that is cut off serves for a while without knowing that the others hold it dead: nothing is taken from it any
more, and it says nothing that is void (S12, S15)."""

import pytest
import trio

from broker.wire.methods import (
    QueueBind,
    QueueBindOk,
    QueueDelete,
    QueueDeleteOk,
    QueuePurge,
    QueuePurgeOk,
    QueueUnbind,
    QueueUnbindOk,
)
from tests.simulation.client import PERSISTENT, Client, Lost
from tests.simulation.stage import Stage, play
from tests.simulation.world import HA_ALL, NET_TICKTIME_S, until

EXCHANGE, KEY = "amq.direct", "key"


class Scene:
    """One node of three that can be cut from its leader only, and a client at each of the two others."""

    def __init__(self, stage: Stage) -> None:
        self.world = stage.world
        self.leader = self.world.leader() or ""
        self.apart, self.other = (name for name in self.world.hosts if name != self.leader)
        self._stage = stage

    async def begin(self, queue_at: str) -> None:
        """The queue `q` has its master there and is bound."""
        await self._stage.set_policy(HA_ALL)
        self.here, self.there = await self._stage.client(self.other), await self._stage.client(self.apart)
        await self.there.confirm_select()
        await bind(self.here if queue_at == self.other else self.there, "q")
        assert self.world.queue("q").master.node == queue_at

    def cut(self) -> None:
        """From now on the leader hears nothing of the one, and it nothing of the leader."""
        self.world.network.cut(self.apart, self.leader)

    def does_not_know(self) -> bool:
        """Whether the one that is cut off goes on though the others hold it dead."""
        hall, node = self.world.hall(self.other), self.world.hosts[self.apart].node
        assert hall is not None
        assert node is not None
        return self.apart in self.world.serving() and hall.is_over(f"{self.apart}/{node.report.life}")


async def bind(client: Client, queue: str) -> None:
    await client.declare(queue)
    await client.call(QueueBind(queue=queue, exchange=EXCHANGE, routing_key=KEY), QueueBindOk)


async def is_confirmed(client: Client) -> bool:
    """Whether a message with the key is, before the node goes."""
    client.publish_to(EXCHANGE, KEY, b"late", PERSISTENT)
    try:
        await client.flush()
        await client.wait_for(lambda: not client.unconfirmed, 3 * NET_TICKTIME_S)
    except Lost:
        return False
    return True


def test_a_queue_that_was_unbound_takes_nothing_from_there() -> None:
    """The link to the queue's master stands."""

    async def scenario(stage: Stage) -> None:
        scene = Scene(stage)
        await scene.begin(scene.other)
        assert await is_confirmed(scene.there)
        scene.cut()
        await scene.here.call(QueueUnbind(queue="q", exchange=EXCHANGE, routing_key=KEY), QueueUnbindOk)
        assert scene.does_not_know()
        assert not await is_confirmed(scene.there)
        assert await scene.here.count("q") == 1

    play(scenario)


def test_a_message_for_a_queue_that_is_not_known_there_is_not_confirmed_as_one_for_nobody() -> None:
    async def scenario(stage: Stage) -> None:
        scene = Scene(stage)
        await scene.begin(scene.other)
        await scene.here.call(QueueUnbind(queue="q", exchange=EXCHANGE, routing_key=KEY), QueueUnbindOk)
        assert await is_confirmed(scene.there), "one for nobody is"
        scene.cut()
        await bind(scene.here, "new")
        assert scene.does_not_know()
        assert not await is_confirmed(scene.there)

    play(scenario)


def test_a_purge_there_does_not_pass_for_one_of_the_queue() -> None:
    """Which has another master by now, with a message."""

    async def scenario(stage: Stage) -> None:
        scene = Scene(stage)
        await scene.begin(scene.apart)
        scene.cut()
        await bind(scene.here, "new")  # answered when the end of the one that is cut off is known
        await scene.here.confirm_select()
        assert await is_confirmed(scene.here)
        assert scene.does_not_know()
        with pytest.raises(Lost):
            await scene.there.call(QueuePurge(queue="q"), QueuePurgeOk)
        assert await scene.here.count("q") == 1

    play(scenario)


def test_a_queue_that_was_deleted_is_not_counted_there() -> None:
    async def scenario(stage: Stage) -> None:
        scene = Scene(stage)
        await scene.begin(scene.apart)
        assert await scene.there.count("q") == 0
        scene.cut()
        await scene.here.call(QueueDelete(queue="q"), QueueDeleteOk)
        assert scene.does_not_know()
        with pytest.raises(Lost):
            await scene.there.count("q")

    play(scenario)


def test_a_life_without_a_majority_ends_though_a_client_has_a_queue_of_its_own_there() -> None:
    """Which would have to be deleted with its connection, by a majority."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        client = await stage.client("n1")
        await client.declare("own", durable=False, exclusive=True)
        node = world.hosts["n1"].node
        assert node is not None
        life = node.report.life
        world.network.cut("n1", "n2")
        world.network.cut("n1", "n3")
        await until(lambda: node.report.life > life, 3 * NET_TICKTIME_S)
        await world.stop("n1")

    play(scenario)


def test_what_was_under_way_to_a_node_that_slept_is_not_given_out_there_after_others_had_it() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        scene = Scene(stage)
        await scene.begin(scene.other)
        got = list[bool]()
        scene.there.on_deliver = lambda delivered: got.append(delivered.redelivered)
        await scene.there.consume("q", 5)
        world.freeze(scene.apart)
        await scene.here.confirm_select()
        assert await is_confirmed(scene.here)
        again = list[bool]()
        other = await stage.client(scene.leader)
        other.on_deliver = lambda delivered: again.append(delivered.redelivered)
        await other.consume("q", 5)
        await until(lambda: again == [True], 3 * NET_TICKTIME_S)
        world.thaw(scene.apart)
        await trio.sleep(2 * NET_TICKTIME_S)
        assert got == []

    play(scenario)
