"""An auto-delete queue knows over the death of its master that it has had consumers: without any it goes."""

import pytest
import trio

from broker.wire.basic_methods import BasicConsume, BasicConsumeOk
from tests.simulation.client import Client
from tests.simulation.stage import Stage, play
from tests.simulation.world import HA_ALL, until

pytestmark = pytest.mark.slow


async def consume(client: Client, queue: str) -> None:
    await client.call(BasicConsume(queue=queue, consumer_tag=queue), BasicConsumeOk)


async def prepare(stage: Stage) -> None:
    """Three queues: one was never consumed from."""
    await stage.set_policy(HA_ALL)
    for queue in ("left", "kept", "unused"):
        (await stage.filled(queue, 1, auto_delete=True)).close()


def names(stage: Stage) -> set[str]:
    return {record.name for record in stage.world.queues()}


def test_a_queue_whose_last_consumer_died_with_its_master_goes() -> None:
    async def scenario(stage: Stage) -> None:
        await prepare(stage)
        await consume(await stage.client("n1", "doomed"), "left")
        await consume(await stage.client("n2", "survivor"), "kept")
        await until(lambda: stage.world.queue("left").used and stage.world.queue("kept").used, 5)
        stage.world.kill("n1")
        await until(lambda: "left" not in names(stage), 10)
        await trio.sleep(5)
        assert names(stage) == {"kept", "unused"}
        assert stage.row("kept")["consumers"] == 1

    play(scenario)


def test_nor_does_one_go_whose_consumer_is_frozen_for_a_moment() -> None:
    async def scenario(stage: Stage) -> None:
        await prepare(stage)
        await consume(await stage.client("n3", "survivor"), "kept")
        await until(lambda: stage.world.queue("kept").used, 5)
        stage.world.freeze("n3")
        await trio.sleep(0.2)
        stage.world.kill("n1")
        await trio.sleep(0.8)
        stage.world.thaw("n3")
        await until(lambda: stage.placed("kept")[0] in ("n2", "n3"), 10)
        await until(lambda: stage.row("kept")["consumers"] == 1, 10)
        await trio.sleep(4)
        assert names(stage) == {"left", "kept", "unused"}

    play(scenario)


def test_a_cluster_that_comes_back_keeps_a_queue_for_consumers_that_come_back_later() -> None:
    async def scenario(stage: Stage) -> None:
        await prepare(stage)
        await consume(await stage.client("n1", "reader"), "left")
        await until(lambda: stage.world.queue("left").used, 5)
        stage.world.kill(*stage.world.hosts)
        stage.world.start()
        await until(stage.world.synchronised, 20)
        await trio.sleep(5)
        assert "left" in names(stage)

    play(scenario)
