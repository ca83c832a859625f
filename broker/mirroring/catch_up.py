"""Fills a mirror while the master works on (DESIGN rule S5).

Decides what a mirror that stated what it holds has to drop, what it is sent and when it joins the live stream: the
living positions that it lacks go out oldest first in chunks, and what is published meanwhile joins the rest; when the
rest is small, it goes out at once and every later note with it. Nothing is buffered, nothing waits. It must not know
links: it makes records, and is told how far the link has got.
"""

from bisect import bisect_left, bisect_right

from broker.mirroring.follower import Follower
from broker.mirroring.master import Master
from broker.mirroring.mirror import Statement
from broker.mirroring.pacing import BATCH_MESSAGES
from broker.mirroring.ranges import Range, count, intersect, merge, subtract, upto
from broker.queues.line import GAPS_MAX
from broker.queues.page import Page
from broker.queues.positions import first_of, last_of
from broker.queues.returns import join_stretch
from broker.wire import records
from broker.wire.message import Run

CHUNK_BYTES = 512 * 1024
CHUNK_RANGES = 256
"""Where a backlog is full of holes its messages go out one by one: a chunk is made in one step."""
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
    origins += [records.Origin(copy.queue_id, master.term, *letters) for letters in copy.repeats.told()]
    hole = records.Hole(copy.queue_id, master.term, follower.lacking)
    return [*map(records.encode, origins), *_tallies(master), records.encode(hole)]


def _tallies(master: Master) -> list[bytes]:
    """How often messages were given back, also those that the mirror has held all the time."""
    if not master.queue.settings.counts_returns:
        return []
    counts: list[tuple[int, int, int]] = []
    for piece in master.queue.living():
        if piece.returned:
            join_stretch(counts, piece)
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
    """The next records of catch-up, about CHUNK_BYTES or `batch_messages`; empty if there is nothing left to send, or
    the next has to be loaded: see `wanted`."""
    chunk: list[bytes] = []
    size = done = 0
    missing, rest = follower.missing, None
    while rest is None and done < len(missing) and size < CHUNK_BYTES and batch_messages > 0 and done < CHUNK_RANGES:
        first, end = missing[done]
        last = min(end, first + batch_messages - 1)
        batch_messages -= last - first + 1
        sent_upto = last
        for piece in master.queue.between(first, last, CHUNK_BYTES - size):
            if isinstance(piece, Page):
                sent_upto = piece.first - 1
                break
            raw = records.encode_publish(master.copy.queue_id, master.term, piece)
            chunk.append(raw)
            size += len(raw)
            sent_upto = piece.last if size >= CHUNK_BYTES else last
        if sent_upto < end:
            rest = (sent_upto + 1, end)
        done += 1
    follower.missing = [*([] if rest is None else [rest]), *missing[done:]]  # once: they may be hundreds of thousands
    return chunk


def wanted(master: Master, follower: Follower) -> Range | None:
    """The positions to be loaded for `chunk_of`, if what this mirror lacks goes on with messages out of memory: about a
    chunk of them, over its gaps as far as these are not most of it, so that there is one reading for each."""
    begin = end = count = 0
    left = CHUNK_BYTES
    for first, last in follower.missing[:CHUNK_RANGES]:
        for piece in master.queue.pieces_of(first, last):
            many = count + piece.count > BATCH_MESSAGES or piece.last - begin >= GAPS_MAX * (count + piece.count)
            if not isinstance(piece, Page) or (count and (many or left < piece.body_bytes)):
                return (begin, end) if count else None
            begin = begin or piece.first
            end = piece.first + max(1, piece.count_of(left)) - 1
            count += piece.count
            left -= piece.body_bytes
    return (begin, end) if count else None


def chunk_of(
    master: Master, follower: Follower, runs: list[Run], encoded: dict[Range, bytes] | None = None
) -> list[bytes]:
    """The records of catch-up for messages that were loaded, as far as they live and are missing by now. They do not
    stay in memory. `encoded`: by their positions those that were made in this step, for the next mirror."""
    encoded = {} if encoded is None else encoded
    chunk: list[bytes] = []
    sent: list[Range] = []
    for first, last in intersect(follower.missing, [(run.first, run.last) for run in runs]):
        for piece in list(master.queue.pieces_of(first, last)):
            if isinstance(piece, Page):
                begin = bisect_left(runs, piece.first, key=last_of)
                stop = bisect_right(runs, piece.last, lo=begin, key=first_of)
                for run in piece.filled(runs[begin:stop]):
                    if not isinstance(run, Page):
                        positions = (run.first, run.last)
                        if positions not in encoded:
                            encoded[positions] = records.encode_publish(master.copy.queue_id, master.term, run)
                        chunk.append(encoded[positions])
                        sent.append(positions)
    follower.missing = subtract(follower.missing, sent)
    return chunk


def may_join(master: Master, follower: Follower, rest_bytes_max: int | None = None) -> bool:
    """Whether the rest is small enough to go out at once, and in memory."""
    if not follower.missing:
        return True
    queue = master.queue
    most = REST_BYTES_MAX if rest_bytes_max is None else min(rest_bytes_max, REST_BYTES_MAX)
    few = most // queue.mean_bytes
    if len(follower.missing) > few or count(follower.missing) > few:
        return False
    rest = (piece for first, last in follower.missing for piece in queue.pieces_of(first, last))
    return not any(isinstance(piece, Page) for piece in rest)
