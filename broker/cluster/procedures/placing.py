"""Queue records that change: written under their next version, or removed with what hangs on them.

Decides that no record changes without its version, and which queues a change of lives concerns. It must not know the
rules of succession, which it only asks.
"""

from collections.abc import Iterable

from broker.cluster import schema
from broker.cluster.operations import Event
from broker.cluster.procedures.draft import Draft
from broker.cluster.procedures.removal import remove_queue
from broker.cluster.records import QueueRecord
from broker.cluster.refusal import Refused
from broker.cluster.succession import Situation, reassess


def settle(draft: Draft, before: QueueRecord, situation: Situation, changed: QueueRecord | None = None) -> QueueRecord:
    """Look at a queue anew, starting from `changed` if that is given, and write what it has become; the record as it is
    written is returned, or as it was if the queue has ended."""
    after, events = reassess(changed or before, situation)
    return store(draft, before, after, events)


def store(draft: Draft, before: QueueRecord, after: QueueRecord | None, events: Iterable[Event] = ()) -> QueueRecord:
    """Write a queue's record, if it has changed, and tell the news."""
    if after is None:
        remove_queue(draft.overlay, before)
        after = before
    elif after != before:
        after = after._replace(version=before.version + 1)
        draft.put(schema.queue_path(after.vhost, after.name), after)
    for event in events:
        draft.tell(event)
    return after


def settle_all(draft: Draft, keys: Iterable[str], situation: Situation) -> None:
    """Look anew at every queue that is found under one of these keys."""
    for path in dict.fromkeys(path for key in keys for path in draft.overlay.find(key)):
        record = schema.read(draft.overlay, QueueRecord, path)
        if record is not None:
            settle(draft, record, situation)


def wanted_queue(draft: Draft) -> QueueRecord:
    """The queue that the request means, by `id` or by `vhost` and `name`. Raises Refused `not_found`."""
    if "id" in draft.request:
        queue_id = draft.ask("id", int)
        if (record := schema.queue_by_id(draft.overlay, queue_id)) is None:
            raise Refused("not_found", f"the queue of id {queue_id} is gone")
        return record
    vhost, name = draft.ask("vhost", str), draft.ask("name", str)
    if (record := schema.queue(draft.overlay, vhost, name)) is None:
        raise Refused("not_found", f"no queue '{name}' in vhost '{vhost}'")
    return record
