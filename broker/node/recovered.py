"""What the journal found on disk becomes copies of queues.

Decides nothing beyond the shape: which copy may serve is the cluster's decision.
"""

from broker.mirroring.copy import Copy
from broker.mirroring.terms import Terms
from broker.queues.line import Line
from broker.storage.recover import RecoveredQueue


def copy_of(queue_id: int, found: RecoveredQueue) -> Copy:
    """One queue's copy. Only durable queues are in a journal."""
    terms = Terms(found.terms)
    line = Line(found.line)
    for first, last, times in found.returned:
        line.count_returned(first, last, times)
    return Copy(
        queue_id,
        True,
        line=line,
        terms=terms,
        promised=terms.newest,
        marks=dict(found.marks),
        origins={origin: highest for origin, (highest, _) in found.origins.items()},
        refused={origin: list(refused) for origin, (_, refused) in found.origins.items() if refused},
        lacking=list(found.holes),
        next_position=found.next_position,
    )


def copies_of(queues: dict[int, RecoveredQueue]) -> dict[int, Copy]:
    """All copies by queue id."""
    return {queue_id: copy_of(queue_id, found) for queue_id, found in queues.items()}
