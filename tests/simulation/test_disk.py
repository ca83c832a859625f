"""The disk twin forgets exactly what it may: never a synced byte, and over many seeds every kind of wreckage."""

import errno
from random import Random

import pytest
import trio

from tests.simulation.disk import PowerCut, SimDisk


async def after_power_cut(seed: int, cut_at: int) -> tuple[bytes | None, int]:
    """The file after a cut at that step of: append `sync`, append `rest`; and how many of its bytes were synced."""
    disk = SimDisk(Random(seed))
    disk.cut_at = cut_at
    synced = 0
    try:
        file = await disk.open_append("f")
        await file.append([b"sync"], sync=True)
        synced = 4
        await file.append([b"rest"], sync=False)
        await trio.sleep_forever() if cut_at < 0 else None
    except PowerCut:
        pass
    disk.lose_power()
    return (await disk.read("f") if await disk.list_names("") else None), synced


async def test_synced_bytes_survive_and_others_may(autojump_clock):
    seen = set()
    for seed in range(40):
        for cut_at in range(12):
            content, synced = await after_power_cut(seed, cut_at)
            if synced:
                assert content is not None
                assert content.startswith(b"sync")
            seen.add(content)
    assert {None, b"", b"sync", b"syncrest", b"syncre"} <= seen
    assert any(content is not None and b"\0" in content for content in seen), "a torn write"


async def test_one_seed_one_wreckage(autojump_clock):
    assert [await after_power_cut(3, step) for step in range(12)] == [
        await after_power_cut(3, step) for step in range(12)
    ]


async def test_replace_is_old_or_new_at_every_step(autojump_clock):
    seen = set()
    for seed in range(20):
        for cut_at in range(8, 20):
            disk = SimDisk(Random(seed))
            disk.cut_at = cut_at
            done = False
            try:
                await disk.replace("f", b"old")
                await disk.replace("f", b"new")
                done = True
            except PowerCut:
                pass
            disk.lose_power()
            content = await disk.read("f")
            assert content == b"new" or not done
            seen.add(content)
    assert seen == {b"old", b"new"}


async def test_a_killed_process_leaves_its_writes_but_nothing_more_durable(autojump_clock):
    disk = SimDisk(Random(1))
    file = await disk.open_append("f")
    await file.append([b"sync"], sync=True)
    await file.append([b"rest"], sync=False)
    disk.kill()
    assert await disk.read("f") == b"syncrest"
    with pytest.raises(PowerCut):
        await file.append([b"from beyond"], sync=True)
    await disk.truncate("f", 6)
    disk.lose_power()
    assert await disk.read("f") == b"syncre"


async def test_after_the_cut_nothing_works_until_the_next_life(autojump_clock):
    disk = SimDisk(Random(1))
    disk.cut_at = 1
    for _ in range(2):
        with pytest.raises(PowerCut):
            await disk.list_names("")
    disk.lose_power()
    assert await disk.list_names("") == []


async def test_a_full_disk_takes_a_part_and_says_so(autojump_clock):
    disk = SimDisk(Random(1))
    disk.bytes_max = 10
    file = await disk.open_append("f")
    await file.append([b"12345678"], sync=True)
    assert disk.free_bytes() == 2
    with pytest.raises(OSError, match="No space left"):
        await file.append([b"12345678"], sync=True)
    assert len(await disk.read("f")) <= 10
    disk.full = True
    assert disk.free_bytes() == 0


async def test_what_a_failed_sync_did_not_write_never_comes_though_it_is_seen(autojump_clock):
    disk = SimDisk(Random(1))
    file = await disk.open_append("f")
    await file.append([b"sound"], sync=True)
    disk.fail("sync")
    with pytest.raises(OSError, match="Input/output error"):
        await file.append([b"lost"], sync=True)
    disk.mend()
    await file.append([b"later"], sync=True)
    assert await disk.read("f") == b"soundlostlater"
    assert await disk.reread("f") == b"sound\0\0\0\0later"
    assert await disk.read("f") == b"sound\0\0\0\0later"


async def test_what_is_cut_and_written_again_is_written(autojump_clock):
    disk = SimDisk(Random(1))
    file = await disk.open_append("f")
    disk.fail("sync")
    with pytest.raises(OSError, match="Input/output error"):
        await file.append([b"lost"], sync=True)
    disk.mend()
    await disk.truncate("f", 0)
    again = await disk.open_append("f")
    await again.append([b"kept"], sync=True)
    disk.lose_power()
    assert await disk.read("f") == b"kept"


@pytest.mark.parametrize("under", ["", "journal/"])
async def test_faults_meet_the_files_that_are_meant_until_they_are_mended(under, autojump_clock):
    disk = SimDisk(Random(1))
    await disk.replace("journal/1", b"one")
    await disk.replace("zab/log", b"log")
    disk.fail("read", under=under)
    disk.fail("write", code=errno.EROFS, under=under)
    for attempt in (disk.read("journal/1"), disk.read_range("journal/1", 0, 1)):
        with pytest.raises(OSError, match="Input/output"):
            await attempt
    changes = (
        disk.open_append("journal/1"),
        disk.replace("journal/1", b""),
        disk.truncate("journal/1", 0),
        disk.remove("journal/1"),
        disk.allocate("journal/2", 1),
    )
    for change in changes:
        with pytest.raises(OSError, match="Read-only"):
            await change
    if under:
        assert await disk.read("zab/log") == b"log"
        await disk.remove("zab/log")
    disk.mend()
    assert await disk.read("journal/1") == b"one"


async def test_allocated_room_is_missing_elsewhere(autojump_clock):
    disk = SimDisk(Random(1))
    disk.bytes_max = 10
    await disk.allocate("reserve", 8)
    assert disk.free_bytes() == 2
    with pytest.raises(OSError, match="No space"):
        await disk.allocate("more", 3)
    await disk.remove("reserve")
    assert (disk.free_bytes(), disk.sizes()) == (10, {})


async def test_bits_rot_and_files_vanish(autojump_clock):
    disk = SimDisk(Random(1))
    await disk.replace("f", b"abc")
    disk.damage("f", 1)
    assert (await disk.read("f"))[1] != ord("b")
    assert disk.sizes() == {"f": 3}
    disk.lose("f")
    assert await disk.list_names("") == []
