"""The scheduler's seed decides the order of tasks; this fails if trio renames what `seeded_scheduler` relies on."""

import trio
import trio.testing
from trio._core import _run

from tests.simulation.scheduler import seeded_scheduler


def order_of_tasks(seed: int) -> list[int]:
    order = []

    async def note(number: int) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            order.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(note, number)

    with seeded_scheduler(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return order


def test_one_seed_one_order() -> None:
    assert order_of_tasks(7) == order_of_tasks(7)


def test_other_seeds_other_orders() -> None:
    assert len({tuple(order_of_tasks(seed)) for seed in range(5)}) == 5


def test_nothing_is_left_behind() -> None:
    before = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    order_of_tasks(1)
    assert (_run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()) == before
