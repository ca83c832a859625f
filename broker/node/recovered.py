"""What the journal found on disk becomes copies of queues.

Decides nothing beyond the shape: which copy may serve is the cluster's decision. No contents are in memory yet; they
are read when somebody wants them.
"""

from collections.abc import Iterable, Iterator

from broker.mirroring.copy import Copy
from broker.mirroring.ranges import Range
from broker.mirroring.repeats import is_of_letters
from broker.mirroring.terms import Terms
from broker.queues.line import Line
from broker.queues.page import PAGE_BYTES_MAX, PAGE_MESSAGES_MAX, Page
from broker.storage.recover import RecoveredQueue
from broker.wire.records import Extent


def copy_of(queue_id: int, found: RecoveredQueue) -> Copy:
    """One queue's copy. Only durable queues are in a journal."""
    terms = Terms(found.terms)
    line = Line(pages_of(found.extents))
    for first, last, times in found.returned:
        line.count_returned(first, last, times)
    own = {origin: taken for origin, taken in found.origins.items() if not is_of_letters(origin)}
    copy = Copy(
        queue_id,
        True,
        line=line,
        terms=terms,
        promised=terms.newest,
        marks=dict(found.marks),
        origins={origin: highest for origin, (highest, _) in own.items()},
        refused={origin: list(refused) for origin, (_, refused) in own.items() if refused},
        lacking=list(found.holes),
        next_position=found.next_position,
    )
    letters = [(at, origin, list(taken)) for origin, (at, taken) in found.origins.items() if is_of_letters(origin)]
    for at, origin, taken in sorted(letters):
        copy.repeats.learn(origin, *uncut(at, taken, terms.bound(found.told_under.get(origin, 0))))
    return copy


def uncut(at: int, taken: list[Range], bound: int | None) -> tuple[int, list[Range]]:
    """Where letters stand and which they are, without those above `bound`: a later master had never had them.

    That they were forgotten then may stand in a segment that went before the one that tells of them.
    """
    if bound is None or at <= bound or not taken:
        return at, taken
    first, last = taken[0]
    left = last - (at - bound)
    return (bound, [(first, left)]) if left >= first else (0, [])


def pages_of(extents: Iterable[Extent]) -> Iterator[Page]:
    """The same messages in pages of a size that one load may bring."""
    for extent in extents:
        page = Page(
            extent.first,
            extent.count,
            extent.body_bytes,
            priority=extent.priority,
            expires=extent.expires,
            persistent=True,
        )
        step = min(PAGE_MESSAGES_MAX, max(1, PAGE_BYTES_MAX * extent.count // max(extent.body_bytes, 1)))
        for start in range(0, extent.count, step):
            yield page.cut(start, min(start + step, extent.count))


def copies_of(queues: dict[int, RecoveredQueue]) -> dict[int, Copy]:
    """All copies by queue id."""
    return {queue_id: copy_of(queue_id, found) for queue_id, found in queues.items()}
