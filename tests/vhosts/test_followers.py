"""Mirrors of a queue whose messages lie on the disk are filled from there."""

import trio

from broker.mirroring.catch_up import CHUNK_BYTES, REST_BYTES_MAX
from broker.queues.page import PAGE_BYTES_MAX
from broker.vhosts.followers import CATCH_UP_BYTES_MAX
from broker.wire import queue_frames as frames
from broker.wire import records
from tests.vhosts.test_mirrors import House, sent_bytes, sent_records


async def test_one_reading_from_the_disk_serves_all_mirrors_that_are_filled_together(monkeypatch):
    house = House()
    spawned = []
    house.followers._spawn = lambda function, *args: spawned.append((function, args))
    local = house.lead(bodies=["x" * 1000] * 2000, mirrors=("n2", "n3"))
    contents = local.master.page_out(0)
    made = []
    encode = records.encode_publish
    monkeypatch.setattr(records, "encode_publish", lambda *run: made.append(run) or encode(*run))
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
    assert len(readings) <= 1 + on_disk * 1000 // (CHUNK_BYTES - PAGE_BYTES_MAX), "a chunk each, not a page"
    assert len(made) == sum(run.last <= on_disk for run in contents), "its bytes are made once"
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


def test_each_answer_brings_one_chunk_so_that_clients_are_served_between():
    house = House()
    big = "x" * (CHUNK_BYTES // 8)
    local = house.lead(bodies=[big] * 40, mirrors=("n2", "n3"))
    answers = 0
    for node in ("n2", "n3"):
        house.hear_statement(peer=node)
        while not local.master.witnesses.followers[node].joined:
            assert 0 < sent_bytes(house, node) < CHUNK_BYTES + len(big) + 1000
            behind = house.switchboard.links.offset(node, "data")
            house.switchboard.hear(node, frames.ACKNOWLEDGED, frames.encode_pair(behind, behind))
            answers += 1
        assert sent_bytes(house, node) < REST_BYTES_MAX + len(big) + 1000, "the rest goes out at once"
    assert answers >= 2 * 3


def test_the_window_of_catch_up_counts_from_where_the_stream_begins():
    house = House(begin=50_000_000)
    house.followers.link_up("n2")
    big = "x" * (CATCH_UP_BYTES_MAX // 8)
    house.lead(bodies=[big] * 24)
    house.hear_statement()
    sent = fed = sent_bytes(house)
    while fed:
        house.hear_acknowledged(house.switchboard.links.offset("n2", "data"), 50_000_000)
        sent += (fed := sent_bytes(house))
    assert CATCH_UP_BYTES_MAX <= sent < 2 * CATCH_UP_BYTES_MAX, "a window full, and not all of it"


def test_the_window_of_catch_up_is_one_for_all_queues_however_little_each_lacks():
    """A confirm of one waited behind all others that a node lacked when it came back."""
    house = House()
    queue_ids = range(1, 21)
    locals_ = [house.lead(bodies=["x" * (CATCH_UP_BYTES_MAX // 5)], queue_id=queue_id) for queue_id in queue_ids]
    for queue_id in queue_ids:
        house.hear_statement(queue_id=queue_id)
    answers = 0
    while not all(local.master.witnesses.followers["n2"].joined for local in locals_):
        assert 0 < sent_bytes(house) < CATCH_UP_BYTES_MAX + REST_BYTES_MAX
        behind = house.switchboard.links.offset("n2", "data")
        house.hear_acknowledged(behind, behind)
        answers += 1
    assert answers == 3


async def test_no_more_is_read_at_a_time_than_may_be_on_its_way_and_what_was_not_needed_keeps_nobody_waiting():
    house = House()
    spawned = []
    house.followers._spawn = lambda function, *args: function and spawned.append((function, args))
    queue_ids = range(1, 11)
    locals_ = [house.lead(bodies=["x" * 1000] * 1100, queue_id=queue_id) for queue_id in queue_ids]
    contents = {local: local.master.page_out(0) for local in locals_}
    for queue_id in queue_ids:
        house.hear_statement(queue_id=queue_id)
    assert sent_bytes(house)
    behind = house.switchboard.links.offset("n2", "data")
    house.hear_acknowledged(behind, behind)
    assert len(spawned) == CATCH_UP_BYTES_MAX // CHUNK_BYTES

    def loader(local):
        async def load(first, last):
            await trio.lowlevel.checkpoint()
            return [run for run in contents[local] if first <= run.first and run.last <= last]

        return load

    for local in locals_:
        local.pager.load = loader(local)
    given_up = locals_[: len(spawned)]
    for local in given_up:
        local.ended = True
        house.followers.unlead(local.queue_id)
    served = [local for local in locals_ if local not in given_up]
    while not all(local.master.witnesses.followers["n2"].joined for local in served):
        if spawned:
            function, args = spawned.pop(0)
            await function(*args)
        else:
            assert sent_bytes(house), "else there is nothing to be answered"
            behind = house.switchboard.links.offset("n2", "data")
            house.hear_acknowledged(behind, behind)
