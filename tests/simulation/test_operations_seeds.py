"""Operators at work while everything else goes wrong: masters are moved and spread, nodes drained and revived, mirrors
filled or not, and nothing that was confirmed is lost."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import trio

from broker.peers.admin import NoAnswer, ask_once
from tests.simulation import course
from tests.simulation.course import run_seed
from tests.simulation.faults import Faults
from tests.simulation.variety import plan_of
from tests.simulation.world import World

Act = Callable[[World, Random], dict[str, Any]]
PATIENCE_S = 15


def _queue(world: World, dice: Random) -> str:
    return dice.choice([record.name for record in world.queues() if not record.delays] or ["q"])


def _node(world: World, dice: Random) -> str:
    return dice.choice(list(world.hosts))


ACTS: dict[str, Act] = {
    "transfer": lambda world, dice: {"queue": _queue(world, dice), "node": _node(world, dice)},
    "rebalance": lambda world, dice: {},
    "drain": lambda world, dice: {"node": _node(world, dice)},
    "revive": lambda world, dice: {"node": _node(world, dice)},
    "sync": lambda world, dice: {"queue": _queue(world, dice)},
    "cancel_sync": lambda world, dice: {"queue": _queue(world, dice)},
}


class Operators(Faults):
    """The faults, and with each of them a few commands to whoever runs."""

    def __init__(self, world: World, dice: Random) -> None:
        super().__init__(world, dice)
        self.world = world
        self.dice = Random(f"operators {dice.random()}")

    async def befall(self, fault: str) -> None:
        """See `Faults.befall`."""
        self.world.nursery.start_soon(self._command)
        await super().befall(fault)

    async def _command(self) -> None:
        world, dice = self.world, self.dice
        for _ in range(dice.randrange(1, 4)):
            await trio.sleep(dice.choice([0.0, 0.05, 0.3, 1.0]))
            running = world.running()
            if running:
                do = dice.choice(list(ACTS))
                await _ask(world, dice.choice(running), {"do": do, **ACTS[do](world, dice)})
        for node in world.hosts:  # in the end everybody serves
            await _ask(world, dice.choice(world.running() or [node]), {"do": "revive", "node": node})


async def _ask(world: World, at: str, request: dict[str, Any]) -> None:
    network = world.network.host("operator")
    try:
        answer = await ask_once(
            network, f"{at}:25672", request, cluster="simulated", cookie="crumbs", timeout_s=PATIENCE_S
        )
    except NoAnswer as silence:
        answer = {"silent": str(silence)}
    world.note(f"{at} {request}: {answer}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(1, 13), 114])
def test_nothing_is_lost(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "Faults", Operators)
    run_seed(seed, plan_of(seed))
