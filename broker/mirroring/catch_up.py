"""Fills a mirror while the master works on (DESIGN rule S5).

Decides what a mirror that stated what it holds has to drop, what it is sent and when it joins the live stream: the
living positions that it lacks go out oldest first in chunks, and what is published meanwhile joins the rest; when the
rest is small, it goes out at once and every later note with it. Nothing is buffered, nothing waits. It must not know
links: it makes records, and is told how far the link has got.
"""

from broker.mirroring.follower import Follower
from broker.mirroring.master import Master
from broker.mirroring.mirror import Statement
from broker.mirroring.ranges import count, merge, subtract, upto
from broker.queues.returns import join_stretch
from broker.wire import records

CHUNK_BYTES = 256 * 1024
BATCH_MESSAGES = 4096
"""Messages in a chunk unless the policy says it (ha-sync-batch-size)."""
REST_BYTES_MAX = 1024 * 1024
"""A mirror joins the live stream when it lacks at most so much."""


def receive_statement(master: Master, follower: Follower, statement: Statement, *, automatic: bool) -> list[bytes]:
    """Take in what the mirror holds; returns the records that put it straight before anything else.

    Without `automatic` synchronisation a mirror that lacks something gets the live stream only, and knows its hole.
    """
    copy = master.copy
    living = master.queue.living_ranges()
    below = upto(living, statement.common)
    first: list[bytes] = []
    dead = subtract(statement.living, below)
    if dead:
        first.append(records.encode(records.Settle(copy.queue_id, master.term, dead)))
    first += announced(master)
    follower.stated = True
    lacking = subtract(living, statement.living)
    if automatic or not lacking:
        follower.missing = lacking
    else:
        follower.lacking = lacking
    first.append(records.encode(records.Hole(copy.queue_id, master.term, lacking)))
    return first


def announced(master: Master) -> list[bytes]:
    """How far delivery was announced: goes ahead of each chunk, so that no mirror holds an unmarked message that
    somebody has seen (S7)."""
    copy = master.copy
    marks = [records.Mark(copy.queue_id, master.term, level, mark) for level, mark in copy.marks.items()]
    return [records.encode(mark) for mark in marks]


def last_words(master: Master, follower: Follower) -> list[bytes]:
    """What the mirror still lacks when it joins, and which publications were taken: no message may tell that, once it
    is settled.

    Goes behind the last chunk: a mirror that claimed a publication before it has it would, if it were promoted then,
    have it confirmed to its publisher (S6).
    """
    copy = master.copy
    origins = [
        records.Origin(copy.queue_id, master.term, origin, highest, copy.refused.get(origin, []))
        for origin, highest in copy.origins.items()
    ]
    hole = records.Hole(copy.queue_id, master.term, follower.lacking)
    return [*map(records.encode, origins), *_tallies(master), records.encode(hole)]


def _tallies(master: Master) -> list[bytes]:
    """How often messages were given back, also those that the mirror has held all the time."""
    if not master.queue.settings.counts_returns:
        return []
    counts: list[tuple[int, int, int]] = []
    for run in master.queue.living():
        if run.returned:
            join_stretch(counts, run)
    return [records.encode(records.Returned(master.copy.queue_id, master.term, counts))] if counts else []


def fill(follower: Follower) -> None:
    """An operator, a new policy or the need of a member: send what the mirror lacks after all."""
    if follower.lacking:
        follower.missing = follower.lacking
        follower.lacking = []


def stop(follower: Follower) -> None:
    """Send no more of what the mirror lacks; what it has it keeps."""
    follower.lacking = merge([*follower.lacking, *follower.missing])
    follower.missing = []


def take_chunk(master: Master, follower: Follower, batch_messages: int = BATCH_MESSAGES) -> list[bytes]:
    """The next records of catch-up, about CHUNK_BYTES or `batch_messages`; empty if there is nothing left to send."""
    chunk: list[bytes] = []
    size = 0
    while follower.missing and size < CHUNK_BYTES and batch_messages > 0:
        first, end = follower.missing[0]
        last = min(end, first + batch_messages - 1)
        batch_messages -= last - first + 1
        runs = master.queue.between(first, last, CHUNK_BYTES - size)
        for run in runs:
            raw = records.encode_publish(master.copy.queue_id, master.term, run)
            chunk.append(raw)
            size += len(raw)
        sent_upto = runs[-1].last if runs and size >= CHUNK_BYTES else last
        follower.missing = follower.missing[1:] if sent_upto >= end else [(sent_upto + 1, end), *follower.missing[1:]]
    return chunk


def may_join(master: Master, follower: Follower) -> bool:
    """Whether the rest is small enough to go out at once."""
    if not follower.missing:
        return True
    queue = master.queue
    mean_bytes = queue.message_bytes // max(1, queue.messages_ready + queue.messages_unacked) + 64
    return count(follower.missing) * mean_bytes <= REST_BYTES_MAX
