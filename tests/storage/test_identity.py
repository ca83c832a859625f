"""Every life has a number of its own, whatever happens to the folder."""

from random import Random

import pytest

from broker.storage.formats import NewerFormat
from broker.storage.fsync import ALWAYS, Fsync
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


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"format": 1, "folder": "x"}', b"\xff"])
async def test_a_file_that_says_nothing_stops_the_node(content, autojump_clock):
    disk = SimDisk(Random(1))
    await disk.replace(NAME, content)
    with pytest.raises(DamagedIdentity, match=r"sim:identity\.json: "):
        await begin(disk)


async def test_a_newer_format_is_refused_and_left_as_it_is(autojump_clock):
    disk = SimDisk(Random(1))
    content = b'{"format": 2, "folder": "x", "life": 1}'
    await disk.replace(NAME, content)
    with pytest.raises(NewerFormat, match=r"sim:identity\.json has format 2, which this release does not know"):
        await begin(disk)
    assert await disk.read(NAME) == content


LAX = Fsync("never")


@pytest.mark.parametrize(
    ("before", "clean", "boot", "lossy"),
    [
        (LAX, False, "two", True),
        (LAX, False, "", True),
        (LAX, False, "one", False),
        (LAX, True, "two", False),
        (ALWAYS, False, "two", False),
        (Fsync("interval", 5), False, "two", True),
    ],
)
async def test_what_was_not_synced_may_be_lost_with_the_machine(before, clean, boot, lossy, autojump_clock):
    disk = SimDisk(Random(1))
    folder = await Folder.begin_life(disk, chance=Random(1), stamp_ms=1, fsync=before, boot="one")
    file = await disk.open_append("journal/1")
    await file.append([b"kept by the system"], sync=False)
    if clean:
        await folder.end_life(disk)
    after = await Folder.begin_life(disk, chance=Random(1), stamp_ms=2, boot=boot)
    assert after.lossy == lossy
    disk.lose_power()
    assert (await disk.read("journal/1") == b"kept by the system") or (before, boot) != (LAX, "one")
    again = await Folder.begin_life(disk, chance=Random(1), stamp_ms=3, boot=boot)
    assert again.lossy == lossy, "until somebody knows"
    await again.told(disk)
    assert not (await Folder.begin_life(disk, chance=Random(1), stamp_ms=4, boot=boot)).lossy
