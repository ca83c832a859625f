"""Memory, processor time and disk as they are, and figures that are waited for until they keep still."""

import os
from pathlib import Path

import trio

from broker.perf.server import BLOCK_BYTES, LOOK_EVERY_S, STEADY_LOOKS, Peak, Server, disk_bytes, settled

NOBODY = 2**22 + 1
"""Above the highest process id of Linux."""


def test_a_process_has_memory_and_processor_time() -> None:
    server = Server([os.getpid(), NOBODY])
    assert server
    assert 1 << 20 < server.resident_bytes() < 1 << 40
    assert server.cpu_s() >= 0
    assert (Server([NOBODY]).resident_bytes(), Server([NOBODY]).cpu_s()) == (0, 0)
    assert not Server([])


def test_disk_is_counted_as_du_does(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(bytes(100_000))
    (tmp_path / "small").write_bytes(b"x")
    assert disk_bytes([tmp_path]) == BLOCK_BYTES * sum(path.stat().st_blocks for path in tmp_path.rglob("*[el]"))
    assert disk_bytes([tmp_path]) >= 100_000
    assert disk_bytes([tmp_path / "nothing"]) == 0


async def test_a_figure_is_taken_when_it_keeps_still(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    figures = iter([*range(1000, 0, -100), *[100] * 1000])
    assert await settled(lambda: next(figures), 60) == 100
    assert trio.current_time() - began < (10 + STEADY_LOOKS) * LOOK_EVERY_S
    restless = iter(range(1000))
    assert await settled(lambda: next(restless), 5) == 5 / LOOK_EVERY_S


async def test_a_peak_is_remembered(autojump_clock: trio.testing.MockClock) -> None:
    figures = iter([1, 9, 2, *[3] * 100])
    peak = Peak(lambda: next(figures))
    with trio.move_on_after(2):
        await peak.watch()
    assert peak.bytes == 9
