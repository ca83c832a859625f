"""Every life has a number of its own, whatever happens to the folder."""

from random import Random

import pytest

from broker.storage.identity import NAME, DamagedIdentity, Folder
from broker.world.disk import MemoryDisk
from tests.simulation.disk import PowerCut, SimDisk

STAMP_MS = 1_700_000_000_000


async def begin(disk: SimDisk, stamp_ms: int = STAMP_MS) -> Folder:
    return await Folder.begin_life(disk, chance=Random(stamp_ms), stamp_ms=stamp_ms)


async def test_lives_are_counted(autojump_clock):
    disk = SimDisk(Random(1))
    first = await begin(disk)
    assert first.blank
    assert first.life == STAMP_MS
    for life in range(1, 4):
        disk.lose_power()
        assert await begin(disk, STAMP_MS + 99) == Folder(first.id, STAMP_MS + life, blank=False)


async def test_a_blank_folder_is_another_one_with_higher_lives(autojump_clock):
    old = await begin(SimDisk(Random(1)))
    new = await begin(SimDisk(Random(1)), STAMP_MS + 5)
    assert new.id != old.id
    assert new.life > old.life
    assert len(new.id) == 32


async def test_memory_is_blank_each_time():
    disk = MemoryDisk()
    first = await Folder.begin_life(disk, chance=Random(1), stamp_ms=STAMP_MS)
    second = await Folder.begin_life(disk, chance=Random(2), stamp_ms=STAMP_MS + 1)
    assert first.blank
    assert second.blank
    assert (second.id != first.id, second.life > first.life) == (True, True)


async def test_no_number_is_given_twice_though_the_power_fails_at_any_step(autojump_clock):
    for cut_at in range(1, 30):
        disk = SimDisk(Random(cut_at))
        lives = []
        disk.cut_at = cut_at
        for attempt in range(6):
            try:
                lives.append((await begin(disk, STAMP_MS + attempt)).life)
            except PowerCut:
                disk.lose_power()
        assert len(lives) == 5
        assert lives == sorted(set(lives))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"format": 1, "folder": "x"}', b'{"format": 2, "folder": "x", "life": 1}', b"\xff"]
)
async def test_a_file_that_says_nothing_stops_the_node(content, autojump_clock):
    disk = SimDisk(Random(1))
    await disk.replace(NAME, content)
    with pytest.raises(DamagedIdentity, match=r"sim:identity\.json: "):
        await begin(disk)
