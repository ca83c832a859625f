"""Dead letters that go back come exactly once, whichever masters die while they are on their way."""

from collections import Counter
from random import Random

import pytest
import trio

from broker.wire.properties import Properties
from tests.simulation.stage import Stage, bodies
from tests.simulation.test_repeats import MESSAGES, judge_letters
from tests.simulation.test_scenarios_operations import command, connected
from tests.simulation.world import HA_ALL, World, policy, simulate, until

SEEDS = 12


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_replay_loses_and_doubles_nothing_whoever_dies(seed: int) -> None:
    """Of the queue where the letters lie, of the one they go to, or of both."""
    chance = Random(seed)

    async def story(world: World) -> None:
        stage = Stage(world)
        await (await stage.client("n2")).declare("dead")
        await expire_all(stage)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(replay, world)
            await trio.sleep(chance.uniform(0.0, 0.03))
            for victim in chance.choice([["n2"], ["n1"], ["n1", "n2"]]):
                world.kill(victim)
                world.start(victim)
        await world.ready()
        while (await replay(world))["next"] is not None:
            pass
        client = await connected(stage, "n3")
        assert await client.drain("dead") == []
        judge_letters(Counter(await client.drain("q")))

    simulate(seed, story, policies=[policy(HA_ALL)])


async def expire_all(stage: Stage) -> None:
    """A queue whose messages have all died, and wait elsewhere."""
    client = await stage.client("n1", "publisher")
    await client.declare("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    await until(lambda: stage.world.synchronised("q", "dead"), 10)
    await client.confirm_select()
    for body in bodies(MESSAGES):
        client.publish_to("", "q", body, Properties(delivery_mode=2, expiration="1"))
    await client.flush()
    await until(lambda: stage.row("dead")["messages_ready"] == MESSAGES, 30)


async def replay(world: World) -> dict[str, object]:
    """As `warren replay dead` does at a node that goes on."""
    answer = await command(world, "n3", "replay", queue="dead")
    assert "error" not in answer, answer
    assert answer["kept"] == {}, answer
    return answer
