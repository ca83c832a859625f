"""One life of a journal, for tests: recover, append, end in good order."""

from collections.abc import Sequence

import trio

from broker.storage.books import POSITION_MAX
from broker.storage.journal import SEGMENT_BYTES, Journal
from broker.storage.recover import Recovery
from broker.wire.message import Run
from broker.wire.records import QueueRecord, Settle, encode
from broker.world.disk import Disk


async def one_life(disk: Disk, records: Sequence[QueueRecord], *, segment_bytes: int = SEGMENT_BYTES) -> Journal:
    """Append the records, each as a batch of its own; settles are released at once. Cleans up before it ends."""
    journal = Journal(disk, segment_bytes=segment_bytes)
    await journal.recover()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        for record in records:
            await journal.wait_synced(journal.append(encode(record), record))
            if isinstance(record, Settle):
                journal.settled(record.queue_id, record.ranges)
        await trio.sleep(2)
        journal.stop()
    return journal


async def recovered(disk: Disk, *, segment_bytes: int = SEGMENT_BYTES) -> tuple[Recovery, dict[int, list[Run]]]:
    """What a new life finds, and all contents by queue id."""
    journal = Journal(disk, segment_bytes=segment_bytes)
    recovery = await journal.recover()
    lines: dict[int, list[Run]] = {}
    for queue_id, queue in recovery.queues.items():
        lines[queue_id] = await journal.load(queue_id, 0, POSITION_MAX)
        loaded = [at for run in lines[queue_id] for at in range(run.first, run.last + 1)]
        assert loaded == [at for extent in queue.extents for at in range(extent.first, extent.last + 1)]
    return recovery, lines
