"""What is written and read is noted, and how long those waited who wanted it durable."""

from random import Random

import trio

from broker.meters.meters import DiskUse
from broker.storage.metered import MeteredDisk
from tests.simulation.disk import SimDisk


class SlowDisk(SimDisk):
    async def read(self, name):
        await trio.sleep(0.2)
        return await super().read(name)

    async def sync(self, name):
        await trio.sleep(0.3)
        await super().sync(name)


async def test_each_kind_of_use_is_counted(autojump_clock):
    use = DiskUse()
    disk = MeteredDisk(SlowDisk(Random(1)), use)
    file = await disk.open_append("log")
    await file.append([b"12", b"345"], sync=True)
    await file.append([b"6"], sync=False)
    assert (use.write_bytes, use.sync_s.count, use.write_s.count) == (6, 1, 1)
    assert use.sync_s.sum > use.write_s.sum
    before_s = use.sync_s.sum
    await disk.sync("log")
    assert use.sync_s.count == 2
    assert use.sync_s.sum - before_s >= 0.3
    assert await disk.read("log") == b"123456"
    assert use.read_s.sum >= 0.2
    assert await disk.read_range("log", 1, 2) == b"23"
    assert (use.read_s.count, use.read_bytes) == (2, 8)
