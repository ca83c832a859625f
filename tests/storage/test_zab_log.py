"""The metadata log comes back as far as it was vouched for, after a death at any step; damage is never passed over."""

from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from random import Random

import pytest

from broker.cluster.entries import (
    MARKER,
    TRANSACTION,
    Accept,
    Append,
    Commit,
    Compact,
    DamagedLog,
    DurableState,
    Entry,
    Install,
    LogOp,
    Roll,
    Snapshot,
    Truncate,
    zxid_of,
)
from broker.storage import zab_log
from broker.storage.formats import NewerFormat
from broker.storage.journal import JournalFailed
from broker.storage.zab_log import NAME, ZabLog
from broker.world.disk import MemoryDisk, RealDisk
from tests.simulation.disk import PowerCut, SimDisk

ROLL = Roll("local", "n1", {"n1": "f1", "n2": "f2"})


def entry(counter: int, payload: bytes = b"payload") -> Entry:
    return Entry(zxid_of(1, counter), TRANSACTION if counter else MARKER, payload if counter else ROLL.encode())


def entries(first: int, last: int) -> Append:
    return Append([entry(counter) for counter in range(first, last + 1)])


def snapshot(counter: int, state: bytes = b"state") -> Snapshot:
    return Snapshot(zxid_of(1, counter), ((1, zxid_of(1, counter)),), ROLL, state)


async def persist(disk: SimDisk, *batches: list[LogOp], sync: bool = True) -> None:
    log = ZabLog(disk)
    await log.recover()
    for batch in batches:
        await log.persist(batch, sync=sync)
    log.close()


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(Random(1))


async def test_a_blank_disk(disk, autojump_clock):
    assert await ZabLog(disk).recover() == DurableState()


async def test_what_was_persisted_comes_back(disk, autojump_clock):
    await persist(disk, [Accept(1), entries(0, 3)], [Commit(entry(2).zxid)], [Truncate(entry(2).zxid), entries(3, 3)])
    disk.lose_power()
    state = await ZabLog(disk).recover()
    assert state == DurableState(1, entry(2).zxid, None, [entry(counter) for counter in range(4)])
    state.check()


async def test_a_snapshot_replaces_the_log(disk, autojump_clock):
    await persist(disk, [Accept(1), entries(0, 50), Commit(entry(50).zxid)])
    size = disk.sizes()[NAME]
    await persist(disk, [Compact(snapshot(48)), entries(51, 52)])
    assert disk.sizes()[NAME] < size / 2
    state = await ZabLog(disk).recover()
    assert state == DurableState(1, entry(50).zxid, snapshot(48), [entry(counter) for counter in range(49, 53)])
    await persist(disk, [Install(snapshot(99, b"")), Accept(3)])
    assert await ZabLog(disk).recover() == DurableState(3, snapshot(99).zxid, snapshot(99, b""), [])


async def test_a_promised_view_and_the_views_of_a_snapshot_come_back(disk, autojump_clock):
    promise = Accept(65, {"n1": 3, "n2": 7})
    await persist(disk, [Accept(1), entries(0, 5)], [promise])
    assert (await ZabLog(disk).recover()).accepted_view == promise.view
    taken = replace(snapshot(5), views={1: ("n1", "n2")})
    await persist(disk, [Compact(taken)])  # writes everything anew
    assert await ZabLog(disk).recover() == DurableState(65, 0, taken, [], promise.view)
    await persist(disk, [Accept(66)])
    assert (await ZabLog(disk).recover()).accepted_view is None


async def test_the_log_goes_on_behind_a_snapshot(disk, autojump_clock):
    await persist(disk, [Accept(1), entries(0, 5)], [Compact(snapshot(5))], [entries(6, 6)], [entries(7, 7)])
    disk.lose_power()
    assert (await ZabLog(disk).recover()).entries == [entry(6), entry(7)]


async def test_what_is_recovered_is_the_callers_own(disk, autojump_clock):
    log = ZabLog(disk)
    await log.recover()
    await log.persist([Accept(1), entries(0, 1)], sync=True)
    log = ZabLog(disk)
    (await log.recover()).entries.clear()
    await log.persist([Compact(snapshot(0))], sync=True)
    assert (await ZabLog(disk).recover()).entries == [entry(1)]


@pytest.mark.parametrize("fault", ["full", "sync_fails"])
async def test_a_disk_that_fails_fails_for_good(disk, fault, autojump_clock):
    log = ZabLog(disk)
    await log.persist([Accept(1)], sync=True)
    setattr(disk, fault, True)
    for _ in range(2):
        with pytest.raises(JournalFailed, match="sim:zab/log"):
            await log.persist([entries(0, 0)], sync=True)
        setattr(disk, fault, False)
    disk.lose_power()
    assert (await ZabLog(disk).recover()).accepted_epoch == 1


async def test_memory_takes_it_and_forgets():
    log = ZabLog(MemoryDisk())
    await log.recover()
    await log.persist([Accept(1), entries(0, 3)], sync=True)
    await log.persist([Compact(snapshot(2))], sync=True)
    await log.persist([Commit(1)], sync=False)
    log.close()
    assert await ZabLog(MemoryDisk()).recover() == DurableState()


async def test_a_real_disk(tmp_path):
    log = ZabLog(RealDisk(tmp_path))
    await log.persist([Accept(1), entries(0, 3)], sync=True)
    await log.persist([entries(4, 9)], sync=True)
    log.close()
    assert len((await ZabLog(RealDisk(tmp_path)).recover()).entries) == 10


class TestDamage:
    async def written(self, disk: SimDisk) -> bytes:
        await persist(disk, [Accept(1)], [entries(0, 2)], [entries(3, 3)])
        return await disk.read(NAME)

    async def test_every_byte_of_what_was_vouched_for_counts(self, disk, autojump_clock):
        """All but the last batch is vouched for by what stands behind it."""
        data = await self.written(disk)
        vouched = len(data) - len(entry(3).payload) - 33
        for offset in range(vouched):
            disk = SimDisk(Random(offset))
            await disk.replace(NAME, data)
            disk.damage(NAME, offset)
            with pytest.raises(DamagedLog, match=r"sim:zab/log: no sound frame at"):
                await ZabLog(disk).recover()

    async def test_a_tail_that_nothing_vouches_for_is_cut(self, disk, autojump_clock):
        data = await self.written(disk)
        disk.damage(NAME, len(data) - 1)
        assert (await ZabLog(disk).recover()).entries == [entry(0), entry(1), entry(2)]
        await persist(disk, [entries(3, 4)])
        assert len((await ZabLog(disk).recover()).entries) == 5

    @pytest.mark.parametrize("data", [b"", b"\0" * 500, b"noise" * 100])
    async def test_a_file_without_a_base(self, disk, data, autojump_clock):
        await disk.replace(NAME, data)
        with pytest.raises(DamagedLog, match="no sound frame at 0"):
            await ZabLog(disk).recover()

    async def test_a_file_shorter_than_its_base_says(self, disk, autojump_clock):
        await persist(disk, [Accept(1), entries(0, 5)])
        await disk.truncate(NAME, disk.sizes()[NAME] // 2)
        with pytest.raises(DamagedLog):
            await ZabLog(disk).recover()

    async def test_an_entry_that_holds_a_log_is_not_read_as_one(self, disk, autojump_clock):
        inner = await self.written(disk)
        await persist(disk, [Append([entry(4, inner)])])
        disk.damage(NAME, disk.sizes()[NAME] - 1)
        assert (await ZabLog(disk).recover()).entries[-1] == entry(3)

    @pytest.mark.parametrize(
        ("name", "value", "error", "why"),
        [
            ("VERSION", 2, NewerFormat, "sim:zab/log has a frame of version 2 at "),
            ("_ACCEPT", 77, NewerFormat, "sim:zab/log has a frame of kind 77 at "),
            ("_ACCEPT", 3, DamagedLog, "sense"),
        ],
    )
    async def test_frames_that_this_release_cannot_read(
        self, disk, name, value, error, why, autojump_clock, monkeypatch
    ):
        log = ZabLog(disk)
        await log.persist([Accept(1)], sync=True)
        with monkeypatch.context() as patch:
            patch.setattr(zab_log, name, value)
            await log.persist([Accept(2)], sync=True)
        before = await disk.read(NAME)
        with pytest.raises(error, match=why):
            await ZabLog(disk).recover()
        assert await disk.read(NAME) == before


class Member:
    """Random orders as the agreement machine gives them, with the states that may be found after a death."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.disk = SimDisk(self.chance)
        self.state = DurableState()
        self.possible: list[DurableState] = []
        self.vouched = 0
        """Index in `possible` of the state that is certainly durable."""

    def batch(self) -> list[LogOp]:
        return [op for _ in range(self.chance.randint(1, 4)) for op in self.some_ops()]

    def some_ops(self) -> list[LogOp]:
        state, dice = self.state, self.chance.random()
        last = state.entries[-1].zxid if state.entries else state.snapshot.zxid if state.snapshot else 0
        if dice < 0.1 or not state.accepted_epoch:
            epoch = state.accepted_epoch + 1
            return [Accept(epoch), Append([Entry(zxid_of(epoch, 0), MARKER, ROLL.encode())])]
        if dice < 0.2 and state.entries:
            return [Truncate(self.chance.choice(state.entries).zxid)]
        if dice < 0.3 and state.entries:
            zxid = self.chance.choice(state.entries).zxid
            return [Compact(Snapshot(zxid, ((1, zxid),), ROLL, self.chance.randbytes(20)))]
        if dice < 0.32:
            zxid = zxid_of(state.accepted_epoch, self.chance.randint(5, 9))
            return [Install(Snapshot(zxid, ((1, zxid),), ROLL, b"whole"))]
        if dice < 0.4:
            return [Commit(last)]
        return [Append([Entry(last + 1, TRANSACTION, self.chance.randbytes(self.chance.randint(0, 50)))])]

    def note(self, op: LogOp) -> None:
        zab_log._apply(self.state, op)
        self.possible.append(deepcopy(self.state))

    async def live(self, batches: int) -> None:
        log = ZabLog(self.disk)
        self.state = await log.recover()
        assert self.state in self.possible[self.vouched :] or not self.possible
        self.possible, self.vouched = [deepcopy(self.state)], 0
        self.disk.cut_at = self.disk.steps + self.chance.randint(1, batches * 6)
        for _ in range(batches):
            sync = self.chance.random() < 0.8
            before = deepcopy(self.state)
            ops = []
            for op in self.batch():
                ops.append(op)
                self.note(op)
            self.state, after = before, self.state
            await log.persist(ops, sync=sync)
            self.state = after
            if sync:
                self.vouched = len(self.possible) - 1


@pytest.mark.parametrize("seed", range(20))
async def test_death_at_any_step(seed, autojump_clock):
    member = Member(seed)
    for _ in range(8):
        with suppress(PowerCut):
            await member.live(12)
        member.disk.kill() if member.chance.random() < 0.3 else member.disk.lose_power()
    member.disk.cut_at = None
    found = await ZabLog(member.disk).recover()
    member.disk.lose_power()
    assert await ZabLog(member.disk).recover() == found, "what was recovered once is durable"
    assert found in member.possible[member.vouched :]
