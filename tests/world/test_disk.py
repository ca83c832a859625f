"""The disks keep their promises: the real one on a real folder, the one that forgets, and the simulated twin alike."""

import errno
import os
from random import Random

import pytest
import trio

from broker.world.disk import Disk, FolderInUse, MemoryDisk, RealDisk
from tests.simulation.disk import SimDisk


@pytest.fixture(params=["real", "simulated"])
def disk(request, tmp_path) -> Disk:
    return RealDisk(tmp_path / "n1") if request.param == "real" else SimDisk(Random(1))


async def test_what_is_appended_is_read(disk):
    file = await disk.open_append("journal/1")
    await file.append([b"one", bytearray(b"two")], sync=True)
    await file.append([memoryview(b"three")], sync=False)
    assert file.size_bytes == 11
    assert await disk.read("journal/1") == b"onetwothree"
    file.close()
    again = await disk.open_append("journal/1")
    assert again.size_bytes == 11
    await again.append([], sync=True)
    await again.append([b"!"], sync=True)
    again.close()
    assert await disk.read("journal/1") == b"onetwothree!"


async def test_more_chunks_than_one_call_takes(disk):
    file = await disk.open_append("f")
    chunks = [bytes((number % 256,)) * (number % 7) for number in range(3000)]
    await file.append(chunks, sync=True)
    file.close()
    assert await disk.read("f") == b"".join(chunks)


async def test_replace_gives_old_or_new_and_leaves_nothing_behind(disk):
    await disk.replace("zab/snapshot", b"old")
    await disk.replace("zab/snapshot", b"new")
    assert await disk.read("zab/snapshot") == b"new"
    assert await disk.list_names("zab") == ["zab/snapshot"]


async def test_a_part_of_a_file_is_read_and_less_of_it_at_its_end(disk):
    await disk.replace("f", b"abcdef")
    assert await disk.read_range("f", 1, 3) == b"bcd"
    assert await disk.read_range("f", 4, 100) == b"ef"
    assert await disk.read_range("f", 6, 1) == b""
    with pytest.raises(FileNotFoundError):
        await disk.read_range("g", 0, 1)


async def test_a_part_that_the_system_gives_in_parts(tmp_path, monkeypatch):
    real_pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, size, offset: real_pread(descriptor, min(size, 2), offset))
    disk = RealDisk(tmp_path)
    await disk.replace("f", b"abcdefg")
    assert await disk.read_range("f", 1, 5) == b"bcdef"
    assert await disk.read_range("f", 1, 50) == b"bcdefg"


async def test_a_file_is_made_durable_and_read_past_what_is_only_remembered(disk):
    file = await disk.open_append("f")
    await file.append([b"abc"], sync=False)
    file.close()
    await disk.sync("f")
    assert await disk.reread("f") == b"abc"
    for how in (disk.sync, disk.reread):
        with pytest.raises(FileNotFoundError):
            await how("g")


async def test_a_file_gets_another_name(disk):
    await disk.replace("journal/1", b"x")
    await disk.rename("journal/1", "quarantine/1")
    assert await disk.list_names("journal") == []
    assert await disk.read("quarantine/1") == b"x"
    with pytest.raises(FileNotFoundError):
        await disk.rename("journal/1", "quarantine/1")


async def test_room_that_is_taken_is_taken_from_the_disk(disk):
    await disk.allocate("reserve", 1 << 20)
    await disk.allocate("reserve", 1 << 16)
    if isinstance(disk, RealDisk):
        state = os.stat(disk.path_of("reserve"))
        assert (state.st_size, state.st_blocks * 512 >= 1 << 16, state.st_mode & 0o077) == (1 << 16, True, 0)
    await disk.remove("reserve")
    assert await disk.list_names("") == []


async def test_room_that_cannot_be_taken_leaves_nothing(tmp_path, monkeypatch):
    def refuse(descriptor, size_bytes):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("broker.world.disk.take_room", refuse)
    disk = RealDisk(tmp_path / "n1")
    with pytest.raises(OSError, match="No space left"):
        await disk.allocate("reserve", 10)
    assert os.listdir(tmp_path / "n1") == []


async def test_what_a_failed_write_left_is_taken_back(tmp_path, monkeypatch):
    real_writev = os.writev

    def fail_in_the_middle(descriptor, chunks):
        if not real_writev(descriptor, [b"".join(chunks)[:2]]):
            return 0
        raise OSError(errno.ENOSPC, "No space left on device")

    disk = RealDisk(tmp_path)
    file = await disk.open_append("f")
    await file.append([b"sound"], sync=True)
    with monkeypatch.context() as patched:
        patched.setattr(os, "writev", fail_in_the_middle)
        with pytest.raises(OSError, match="No space left"):
            await file.append([b"torn"], sync=True)
    assert await disk.read("f") == b"soundto"
    await file.cut()
    assert (await disk.read("f"), file.size_bytes) == (b"sound", 5)
    await file.append([b"!"], sync=True)
    file.close()
    assert await disk.read("f") == b"sound!"


async def test_truncate_cuts_the_end(disk):
    await disk.replace("f", b"abcdef")
    await disk.truncate("f", 4)
    assert await disk.read("f") == b"abcd"


async def test_what_is_not_there(disk):
    assert await disk.list_names("journal") == []
    await disk.remove("journal/1")
    with pytest.raises(FileNotFoundError):
        await disk.read("journal/1")


async def test_names_come_sorted_and_only_of_that_folder(disk):
    for name in ("journal/2", "journal/1", "zab/1"):
        await disk.replace(name, b"")
    await disk.remove("journal/3")
    assert await disk.list_names("journal") == ["journal/1", "journal/2"]
    await disk.remove("journal/1")
    assert await disk.list_names("journal") == ["journal/2"]


async def test_there_is_room(disk):
    assert disk.free_bytes() > 0
    assert disk.path_of("journal/1").endswith("journal/1")


async def test_a_disk_that_does_not_answer_has_no_room(tmp_path, monkeypatch):
    assert RealDisk(tmp_path / "not made yet").free_bytes() > 2**60
    monkeypatch.setattr(os, "statvfs", lambda folder: os.read(-1, 1))
    assert RealDisk(tmp_path).free_bytes() == 0


async def test_only_the_owner_may_read(tmp_path):
    disk = RealDisk(tmp_path / "n1")
    (await disk.open_append("journal/1")).close()
    await disk.replace("identity", b"{}")
    for name in ("journal/1", "identity"):
        assert os.stat(tmp_path / "n1" / name).st_mode & 0o077 == 0
    assert os.stat(tmp_path / "n1").st_mode & 0o077 == 0


async def test_a_folder_belongs_to_one_process(tmp_path):
    first, second = RealDisk(tmp_path / "n1"), RealDisk(tmp_path / "n1")
    first.claim()
    with pytest.raises(FolderInUse, match="n1 is in use by another process"):
        second.claim()
    first.release()
    second.claim()
    second.release()
    second.release()


async def test_a_write_that_the_system_takes_in_parts(tmp_path, monkeypatch):
    real_writev, real_write = os.writev, os.write
    monkeypatch.setattr(os, "writev", lambda descriptor, chunks: real_writev(descriptor, [b"".join(chunks)[:5]]))
    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[:2]))
    disk = RealDisk(tmp_path)
    file = await disk.open_append("f")
    await file.append([b"onetwo", b"three", b"four"], sync=True)
    file.close()
    assert file.size_bytes == 15
    assert await disk.read("f") == b"onetwothreefour"


async def test_a_cancelled_write_is_written_all_the_same(tmp_path):
    disk = RealDisk(tmp_path)
    file = await disk.open_append("f")
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: file.append([b"x" * 100_000], sync=True))
            await trio.lowlevel.checkpoint()
            scope.cancel()
    assert len(await disk.read("f")) in {0, 100_000}
    file.close()


async def test_memory_takes_everything_and_keeps_nothing():
    disk = MemoryDisk()
    file = await disk.open_append("journal/1")
    await file.append([b"one"], sync=True)
    file.close()
    await disk.replace("identity", b"{}")
    await disk.truncate("identity", 1)
    await disk.remove("identity")
    await file.cut()
    await disk.allocate("reserve", 10)
    assert not disk.keeps
    assert file.size_bytes == 3
    assert await disk.list_names("journal") == []
    assert disk.free_bytes() > 2**60
    assert disk.path_of("x") == "memory:x"
    with pytest.raises(FileNotFoundError):
        await disk.read("journal/1")
    with pytest.raises(FileNotFoundError):
        await disk.read_range("journal/1", 0, 1)
    for how in (disk.sync("journal/1"), disk.reread("journal/1"), disk.rename("journal/1", "journal/2")):
        with pytest.raises(FileNotFoundError):
            await how
