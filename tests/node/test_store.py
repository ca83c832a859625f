"""What one life has on disk: begun in the right order, and left as it is if a newer release wrote on it."""

import errno
from random import Random

import pytest
import trio

from broker.cluster.entries import Accept, Compact, Roll, Snapshot
from broker.cluster.tree import Tree
from broker.metadata.state import State
from broker.node.store import Store, Unusable
from broker.storage import identity, zab_log
from broker.storage.fsync import ALWAYS, Fsync
from broker.storage.reserve import Reserve
from broker.wire import sealed
from broker.wire.records import Mark, Term, encode
from tests.simulation.disk import SimDisk
from tests.storage.test_journal import publish


@pytest.fixture
def disk():
    return SimDisk(Random(1))


async def opened(disk, fsync=ALWAYS) -> Store:
    store = Store(Reserve(disk), fsync, set())
    await store.open(Random(1), 1, "boot")
    return store


async def one_life(disk, *records) -> None:
    """Something stands in every file afterwards."""
    store = await opened(disk)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.keep)
        for record in records or [Term(1, 1, 1)]:
            store.journal.append(encode(record), record)
        await store.zab_log.persist([Accept(1)], sync=True)
        await store.end()
    store.close()


def contents(disk):
    return {name: bytes(content.seen) for name, content in disk._names.items()}


async def test_what_one_life_leaves_the_next_one_finds(disk, autojump_clock):
    await one_life(disk, Term(1, 5, 1))
    store = await opened(disk)
    assert store.folder.life == 2
    assert store.durable.accepted_epoch == 1
    assert store.recovery.queues[1].terms == [(5, 1)]
    assert not store.is_damaged


@pytest.mark.parametrize(("boot", "read_in_full"), [("boot", False), ("another", True)])
async def test_after_a_crash_of_the_machine_no_summary_is_believed(
    boot, read_in_full, disk, autojump_clock, monkeypatch
):
    await one_life(disk, publish(1))
    await one_life(disk, publish(2))
    first = min(name for name in disk.sizes() if name.startswith("journal/"))
    await opened(disk, Fsync("never"))
    read = []
    monkeypatch.setattr(disk, "read", lambda name, read_it=disk.read: read.append(name) or read_it(name))
    store = Store(Reserve(disk), Fsync("never"), set())
    await store.open(Random(1), 1, boot)
    assert (first in read) == read_in_full == store.is_damaged
    assert store.journal.suspects == set()


async def refused(disk, why) -> None:
    before = contents(disk)
    with pytest.raises(Unusable, match=why) as unusable:
        await opened(disk)
    assert "\n" not in str(unusable.value)
    assert contents(disk) == before, "nothing was changed"


async def test_a_folder_of_a_newer_release(disk, autojump_clock, monkeypatch):
    with monkeypatch.context() as newer:
        newer.setattr(identity, "FORMAT", 2)
        await one_life(disk)
    await refused(disk, r"^sim:identity\.json has format 2, which this release does not know: start the release that")


async def test_a_journal_of_a_newer_release(disk, autojump_clock, monkeypatch):
    await one_life(disk)
    with monkeypatch.context() as newer:
        newer.setattr(Mark, "KIND", 99)
        await one_life(disk, Mark(1, 1, 0, 7))
    await refused(disk, r"^sim:journal/0000000000000002: the record at \d+ has version 1 and kind 99: written by a "
                  r"newer release: start that release, or a newer one$")  # fmt: skip


async def test_journal_records_of_a_newer_version(disk, autojump_clock, monkeypatch):
    with monkeypatch.context() as newer:
        newer.setattr(sealed, "VERSION", 2)
        await one_life(disk)
    await refused(
        disk, r"^sim:journal/0000000000000001: the record at 0 has version 2 and kind \d+: written by a newer "
    )


@pytest.mark.parametrize(("name", "value", "what"), [("VERSION", 2, "version 2"), ("_ACCEPT", 9, "kind 9")])
async def test_a_metadata_log_of_a_newer_release(name, value, what, disk, autojump_clock, monkeypatch):
    if name != "VERSION":  # else all of the file is of the newer release
        await one_life(disk)
    with monkeypatch.context() as newer:
        newer.setattr(zab_log, name, value)
        await one_life(disk)
    await refused(
        disk, f"^sim:zab/log has a frame of {what} at \\d+, which this release does not know: start the release"
    )


async def test_a_snapshot_of_a_newer_release(disk, autojump_clock):
    await one_life(disk)
    log = zab_log.ZabLog(disk)
    await log.recover()
    state = State(Tree()).snapshot().replace(b"TRE1", b"TRE2")
    await log.persist([Compact(Snapshot(1, ((1, 1),), Roll("c", "n1", {}), state))], sync=True)
    log.close()
    await refused(disk, r"^sim:zab/log has a snapshot of another format, which this release does not know: start ")


async def test_a_damaged_metadata_log_says_what_can_be_done(disk, autojump_clock):
    await one_life(disk)
    disk.damage(zab_log.NAME, 20)
    await refused(
        disk, r"^sim:zab/log: no sound frame at 0.*: put a copy of it back, or remove the folder, so that the "
    )


async def test_a_disk_that_cannot_be_read(disk, autojump_clock):
    await one_life(disk)
    disk.fail("read", under="zab/")
    await refused(disk, r"Input/output error: mend the disk$")


async def test_a_life_that_cannot_be_noted_as_ended_has_ended_all_the_same(disk, autojump_clock):
    store = await opened(disk, Fsync("never"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.keep)
        disk.fail("write", code=errno.EROFS, under=identity.NAME)
        await store.end()
    disk.mend()
    disk.lose_power()
    assert not (await opened(disk)).is_damaged, "the machine is the same"
