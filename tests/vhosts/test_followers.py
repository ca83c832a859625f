"""Mirrors of a queue whose messages lie on the disk are filled from there."""

import trio

from broker.wire import queue_frames as frames
from broker.wire import records
from tests.vhosts.test_mirrors import House, sent_records


async def test_one_reading_from_the_disk_serves_all_mirrors_that_are_filled_together():
    house = House()
    spawned = []
    house.followers._spawn = lambda function, *args: spawned.append((function, args))
    local = house.lead(bodies=["x" * 1000] * 2000, mirrors=("n2", "n3"))
    contents = local.master.page_out(0)
    readings = []

    async def load(first, last):
        await trio.lowlevel.checkpoint()
        readings.append((first, last))
        return [run for run in contents if first <= run.first and run.last <= last]

    local.pager.load = load
    for node in ("n2", "n3"):
        house.hear_statement(peer=node)
    while spawned:
        function, args = spawned.pop()
        await function(*args)
    on_disk = max(run.last for run in contents)
    assert [first for first, _ in readings] == [1, *(last + 1 for _, last in readings[:-1])]
    assert readings[-1][1] == on_disk
    followers = local.master.witnesses.followers
    assert followers["n2"].missing == followers["n3"].missing
    sent = [record for record in sent_records(house) if isinstance(record, records.Publish)]
    assert sum(record.run.count for record in sent if record.run.first <= on_disk) == 2 * on_disk


async def test_nothing_is_announced_while_contents_are_read():
    """Each word would be answered, and each answer by another one (seed 410002)."""
    house = House()
    spawned = []
    house.followers._spawn = lambda function, *args: spawned.append((function, args))
    local = house.lead(bodies=["x" * 1000] * 2000)
    contents = local.master.page_out(0)
    house.hear_statement()
    house.switchboard.take(frames.RECORD)
    sent = local.master.witnesses.followers["n2"].sent
    for _ in range(3):
        house.hear_acknowledged(sent, sent)
    assert sent_records(house) == []

    async def load(first, last):
        await trio.lowlevel.checkpoint()
        local.master.copy.marks[0] = 5  # meanwhile some are given out
        return [run for run in contents if first <= run.first and run.last <= last]

    local.pager.load = load
    ((function, args),) = spawned
    await function(*args)
    mark, publish, *_ = sent_records(house)
    assert (mark.upto, publish.run.first) == (5, 1)
