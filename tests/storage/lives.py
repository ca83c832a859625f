"""One life of a journal, for tests: recover, append, end in good order."""

from collections.abc import Sequence

import trio

from broker.storage.journal import SEGMENT_BYTES, Journal
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
