"""Who is master of a queue, who mirrors it and who is in sync, after lives began or ended or a policy changed.

Decides one record from the record before and what is known of the lives. All causes take the same road: bury the dead,
find a master if there is none, arrange the mirrors. Rules (DESIGN S2, S3, S12, S13):

1. Who is over leaves the in-sync set only if another member certainly goes on; else all stay, as candidates with what
   their disks hold. Who lost its disk leaves if another candidate remains. The set is never empty.
2. A new master is the oldest mirror that is in sync and goes on, if there is one on a node that is not in maintenance.
   Master, term and in-sync set change in one step.
3. With nobody in sync left but somebody unknown the queue waits for word of them.
4. A candidate that returned with its disk is made master, under a new term, for its new life.
5. `ha-promote-on-failure/-shutdown` count only if this transaction ended a member of the in-sync set while the leader
   watched. `always` asks the living mirrors first which of them has most.
6. A queue that is not durable, and an exclusive one, ends when no copy can go on.

It must not know the tree; it returns a record, None for a queue that ends, and the news.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from broker.cluster.lives import Lives
from broker.cluster.operations import Event
from broker.cluster.records import COMPLETENESS, RUNNING, UNAVAILABLE, WAITING, Life, QueueRecord
from policies.keys import KEYS
from policies.placement import place, relieved
from policies.quorum import is_quorum

FAILURE, SHUTDOWN, DISK, RESTART, FORGOTTEN = "failure", "shutdown", "disk", "restart", "forgotten"
WATCHED = (FAILURE, SHUTDOWN, DISK, RESTART)
"""Causes for which the leader saw the life and saw it end."""


@dataclass(slots=True)
class Situation:
    """What a transaction knows while it looks at one queue after another. `cause` is a word for the report; those above
    have consequences. `damaged`: ids of queues whose copy on `distrusted` recovery could not repair."""

    lives: Lives
    zxid: int
    chance: Random
    cause: str
    distrusted: str = ""
    damaged: frozenset[int] = frozenset()


def reassess(record: QueueRecord, situation: Situation) -> tuple[QueueRecord | None, list[Event]]:
    """The record as it should be now, and what there is to tell; None if the queue has ended."""
    lives = situation.lives
    found: QueueRecord | None = _bury(record, situation)
    assert found is not None
    if found.master not in found.in_sync or lives.is_over(found.master):
        found = _succeed(found, situation, record)
    if found is None:
        return None, [queue_event("vanished", record, cause=situation.cause)]
    former = _formerly(record, lives)
    if lives.goes_on(found.master):
        found = _arrange(found, situation, former)
    candidates = _candidates(found, lives, former)
    if candidates != found.candidates:
        found = found._replace(candidates=candidates)
    return found, _news(record, found, situation.cause)


def promote(record: QueueRecord, heir: Life, in_sync: Iterable[Life], zxid: int, *, lossy: bool = False) -> QueueRecord:
    """A new master under a new term; `in_sync` is who holds everything besides (the old master never)."""
    mirrors = tuple(life for life in record.mirrors if life != heir)
    others = tuple(life for life in in_sync if life not in (heir, record.master))
    return record._replace(
        master=heir,
        term=zxid,
        term_count=record.term_count + 1,
        mirrors=mirrors,
        in_sync=(heir, *others),
        lossy_term=zxid if lossy else record.lossy_term,
        state=RUNNING,
        reason="",
    )


def initial_nodes(
    definition: Mapping[str, Any], proposed: str, running: list[str], drained: Collection[str], chance: Random
) -> tuple[str, tuple[str, ...]]:
    """Master and mirrors of a new queue. Its copies are empty and so in sync: a master that the policy does not name
    is replaced at once (mirroring rule 4.3), and one on a node in maintenance too."""
    first = place(definition, proposed, (), (), running, chance)
    second = place(definition, first.master, first.mirrors, first.mirrors, running, chance)
    return relieved(second, second.mirrors, drained)


def queue_event(kind: str, record: QueueRecord, **facts: Any) -> Event:
    """News of one queue."""
    return Event.of(kind, vhost=record.vhost, queue=record.name, id=record.id, **facts)


def _bury(record: QueueRecord, situation: Situation) -> QueueRecord:
    lives = situation.lives
    mirrors = tuple([life for life in record.mirrors if not lives.is_over(life)])
    if any(map(lives.goes_on, record.in_sync)):
        in_sync = tuple([life for life in record.in_sync if not lives.is_over(life)])
    else:
        distrusted = situation.distrusted if record.id in situation.damaged else None
        in_sync = (
            tuple(life for life in record.in_sync if not lives.is_lost(life) and life.node != distrusted)
            or record.in_sync
        )
    if (mirrors, in_sync) == (record.mirrors, record.in_sync):
        return record
    return record._replace(mirrors=mirrors, in_sync=in_sync)


def _succeed(record: QueueRecord, situation: Situation, before: QueueRecord) -> QueueRecord | None:
    """The master is over, or has lost its disk: somebody else, or a queue that waits, or none."""
    lives, zxid = situation.lives, situation.zxid
    heirs = [life for life in record.mirrors if life in record.in_sync and lives.goes_on(life)]
    if heirs:
        heir = next((life for life in heirs if not lives.is_drained(life.node)), heirs[0])
        return promote(record, heir, record.in_sync, zxid)
    unknown = [life for life in record.in_sync if not lives.is_over(life)]
    if record.durable and not unknown:
        for life in record.in_sync:
            returned = lives.current(life.node)
            if returned is not None and lives.goes_on(returned) and not lives.is_lost(life):
                return promote(record, returned, (), zxid)
    if record.master not in record.in_sync:
        # Its disk is lost: the master is always one who holds everything, also while he is only awaited.
        awaited = promote(record, (unknown or record.in_sync)[0], record.in_sync, zxid)
        if unknown:
            return awaited
        record = awaited._replace(state=before.state, reason=before.reason)
    if unknown:
        return _await(record, unknown)
    return _without_heirs(record, situation, before)


def _without_heirs(record: QueueRecord, situation: Situation, before: QueueRecord) -> QueueRecord | None:
    """Every life that was in sync is over, and none of its nodes has come back with its disk."""
    lives, cause = situation.lives, situation.cause
    watched = cause in WATCHED and any(life in situation.lives.ended for life in before.in_sync)
    all_lost = all(lives.is_lost(life) for life in record.in_sync)
    if record.mirrors:
        entitled = (watched or all_lost or not record.durable) and not _refusing_key(record, cause)
        given_up = all_lost and cause == FORGOTTEN
        if entitled or given_up or before.reason == COMPLETENESS:
            return record._replace(state=WAITING, reason=COMPLETENESS)
    if not record.durable:
        return None
    if cause == FORGOTTEN and all_lost:
        return _hand_to_stopped(record, situation)
    if all_lost:
        return _start_empty(record, situation) or _unavailable(record, "every synchronised copy is lost")
    if record.mirrors and watched:
        why = (
            "this is a quorum queue"
            if is_quorum(record.arguments)
            else f"{_refusing_key(record, cause)} is when-synced"
        )
        return _unavailable(record, f"no synchronised mirror and {why}; waiting for {_nodes(record.in_sync)}")
    if record.mirrors and before.state == UNAVAILABLE:
        return record
    return _await(record, record.in_sync)


def _refusing_key(record: QueueRecord, cause: str) -> str | None:
    """Which key forbids an unsynchronised master; a controlled stop, also of a node that has lost its disk, needs both
    (mirroring rule 11)."""
    definition = record.mirroring
    keys = (
        ("ha-promote-on-shutdown", "ha-promote-on-failure") if cause in (SHUTDOWN, DISK) else ("ha-promote-on-failure",)
    )
    return next((key for key in keys if definition.get(key, KEYS[key].default) != "always"), None)


def _await(record: QueueRecord, awaited: Iterable[Life]) -> QueueRecord:
    return record._replace(state=WAITING, reason=f"waiting for {_nodes(awaited)}")


def _unavailable(record: QueueRecord, reason: str) -> QueueRecord:
    return record._replace(state=UNAVAILABLE, reason=reason)


def _start_empty(record: QueueRecord, situation: Situation) -> QueueRecord | None:
    """A node with `data: memory` never brings anything back: no use in waiting for it, unless a mirror has some."""
    if record.mirrors:
        return None
    for life in record.in_sync:
        returned = situation.lives.current(life.node)
        if returned is not None and situation.lives.keeps_nothing(life.node):
            return promote(record, returned, (), situation.zxid, lossy=True)
    return None


def _hand_to_stopped(record: QueueRecord, situation: Situation) -> QueueRecord | None:
    """Its only holder is forgotten: the oldest stopped node that had a mirror is awaited instead (mirroring 13)."""
    for node in record.candidates:
        last = situation.lives.last(node)
        if last is not None and situation.lives.current(node) is None and not situation.lives.is_lost(last):
            awaited = promote(record, last, (), situation.zxid, lossy=True)
            return awaited._replace(state=WAITING, reason=f"waiting for {node}")
    return None


def _arrange(record: QueueRecord, situation: Situation, former: list[str]) -> QueueRecord:
    """The mirrors that the policy wants; the master moves to one that is in sync if the policy wants it elsewhere (rule
    4.3), or if its node is in maintenance."""
    lives, definition = situation.lives, record.mirroring
    if not record.is_mirrored:
        return record._replace(mirrors=(), in_sync=(record.master,), state=RUNNING, reason="")
    present = {life.node: life for life in record.mirrors}
    reachable = {**lives.reachable, **present}
    # Nodes that had a copy come before strangers: most of what they need is on their disks.
    master = record.master.node
    returning = [node for node in former if node in reachable and node not in present and node != master]
    synchronised = [node for node, life in present.items() if life in record.in_sync and lives.goes_on(life)]
    wanted = place(definition, master, [*present, *returning], synchronised, sorted(reachable), situation.chance)
    wanted = relieved(wanted, synchronised, lives.drained)
    if wanted.master != master:
        record = promote(record, present[wanted.master], record.in_sync, situation.zxid)
    mirrors = tuple([reachable[node] for node in wanted.mirrors])
    in_sync = (record.master, *[life for life in mirrors if life in record.in_sync])
    return record._replace(mirrors=mirrors, in_sync=in_sync, state=RUNNING, reason="")


def _formerly(before: QueueRecord, lives: Lives) -> list[str]:
    """Nodes that had a copy when the record was last written, or were candidates, oldest first."""
    over = [life.node for life in (before.master, *before.mirrors) if lives.is_over(life)]
    return list(dict.fromkeys([*before.candidates, *over]))


def _candidates(record: QueueRecord, lives: Lives, former: list[str]) -> tuple[str, ...]:
    if not record.is_mirrored:
        return ()
    mirrors = [life.node for life in record.mirrors]
    master = record.master.node
    # A node that runs again is given its copy back by a master that acts; until there is one, its disk may be needed.
    acts = lives.goes_on(record.master)
    away = [
        node for node in former if node != master and (lives.is_stopped(node) or (lives.is_member(node) and not acts))
    ]
    kept = [node for node in former if node in mirrors or node in away]
    return (*kept, *[node for node in mirrors if node not in kept])


def _news(before: QueueRecord, after: QueueRecord, cause: str) -> list[Event]:
    if after.term != before.term and after.state == RUNNING:
        return [promotion_event(before, after, cause)]
    if (after.state, after.reason) != (before.state, before.reason) and after.state != RUNNING:
        return [queue_event("waiting", after, state=after.state, reason=after.reason, cause=cause)]
    return []


def promotion_event(before: QueueRecord, after: QueueRecord, cause: str, **facts: Any) -> Event:
    """A new master, told with the old one, whether it held everything, and which `kinds` of messages may be missing:
    `missing` is how many, None if nobody can say."""
    kinds = _kinds_missing(before, after)
    return queue_event(
        "promotion",
        after,
        **{"from": before.master.node, "to": after.master.node},
        cause=cause,
        term=after.term,
        term_count=after.term_count,
        lossy=after.lossy_term == after.term,
        in_sync=not kinds,
        kinds=kinds,
        **{"missing": None if kinds else 0, **facts},
    )


def _kinds_missing(before: QueueRecord, after: QueueRecord) -> list[str]:
    if after.lossy_term == after.term:
        return ["persistent", "transient"] if after.durable else ["transient"]
    # A later life of a node has what its disk kept.
    return [] if after.master in before.in_sync else ["transient"]


def _nodes(lives: Iterable[Life]) -> str:
    return " or ".join(dict.fromkeys(life.node for life in lives))
