"""The chores of a hall: publishers that have to be slower get their share of the time, in short slices."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.vhosts.upkeep import SLICE_S, Upkeep


@pytest.mark.parametrize("share", [1.0, 0.5, 0.125, 0.0])
async def test_publishers_get_their_share_of_the_time_in_short_slices(share: float, autojump_clock: MockClock) -> None:
    moves: list[tuple[bool, float]] = []
    hall: Any = SimpleNamespace(pressure=SimpleNamespace(share=share))

    def move(*key: str) -> None:
        moves.append((len(key) == 1, trio.current_time()))

    with trio.move_on_after(1.001):
        await Upkeep(hall, 5.0, move, move)._slow_publishers()
    moves.append((False, trio.current_time()))
    spells = [(moves[i][0], moves[i + 1][1] - moves[i][1]) for i in range(len(moves) - 1)]
    assert sum(length for is_open, length in spells if is_open) == pytest.approx(share, abs=SLICE_S)
    if share:
        assert all(length <= SLICE_S for is_open, length in spells if not is_open)
