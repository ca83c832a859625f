"""What was purged stays away: purge-ok means what a confirm means, whatever becomes of the master."""

from random import Random

import pytest
import trio

from broker.vhosts.receipts import Receipts
from broker.wire.methods import QueuePurge, QueuePurgeOk
from tests.simulation.judges import Broken
from tests.simulation.stage import Stage
from tests.simulation.world import HA_ALL, World, policy, simulate, until

MESSAGES = 20


def purge_over_a_death(seed: int, at: str, *, late: bool = False) -> None:
    """The master dies as soon as the purge is answered; or, `late`, before it can be."""
    left: list[int] = []

    async def story(world: World) -> None:
        stage, chance = Stage(world), Random(seed)
        await stage.filled("q", MESSAGES)
        await until(lambda: world.synchronised("q"), 10)
        client = await stage.client(at)
        if late:
            for node in ("n2", "n3"):
                world.network.cut("n1", node, one_way=True)
            world.nursery.start_soon(_kill_soon, world, chance.uniform(0.0, 0.1))
        await client.call(QueuePurge(queue="q"), QueuePurgeOk)
        if not late:
            world.kill("n1")
        await until(lambda: world.queue("q").master.node != "n1", 20)
        left.append(await (await stage.client("n2", "another")).count("q"))

    simulate(seed, story, policies=[policy(HA_ALL)])
    if left != [0]:
        raise Broken(f"purged: {left} messages are back")


async def _kill_soon(world: World, pause_s: float) -> None:
    await trio.sleep(pause_s)
    world.kill("n1")
    world.network.heal()


@pytest.mark.parametrize("at", ["n1", pytest.param("n3", marks=pytest.mark.slow)])
def test_what_was_purged_stays_away(at: str) -> None:
    purge_over_a_death(0, at)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 10))
def test_nor_does_it_come_back_by_more_seeds(seed: int) -> None:
    purge_over_a_death(seed, "n1")
    purge_over_a_death(seed, "n3")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_purge_that_its_master_could_not_answer_is_answered_by_the_next(seed: int) -> None:
    purge_over_a_death(seed, "n3", late=True)


@pytest.mark.slow
def test_a_judge_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answered at once, a purge is undone."""

    async def at_once(receipts: Receipts) -> bool:
        return True

    monkeypatch.setattr(Receipts, "safe", at_once)
    assert any(is_seen(seed) for seed in range(10))


def is_seen(seed: int) -> bool:
    """Whether the judge sees something."""
    try:
        purge_over_a_death(seed, "n1")
    except Broken:
        return True
    return False
