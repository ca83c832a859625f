"""Judges of the simulated cluster: each looks on, for one promise, and says `Broken` with what it saw.

They must not know why anything happens: what clients saw, what was committed, and what stands in the copies.
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

import trio

from broker.cluster.entries import epoch_of
from broker.cluster.operations import Create, Event, Set
from broker.cluster.records import QueueRecord, decode
from broker.metadata.state import State, Transaction
from broker.queues.page import Page, Piece
from broker.wire.content import body_of
from policies.quorum import is_quorum
from tests.simulation.freezing import PROCESS
from tests.simulation.ledger import Ledger
from tests.simulation.world import World

if TYPE_CHECKING:
    from broker.vhosts.hall import Hall
    from broker.wire.message import Traits


COUNT = "x-delivery-count"
SEGMENTS_TO_SPARE = 4
"""Two may be dead, one is open, and one may be a copy under way."""
FEW_MESSAGES = 64
"""A run at each end of a line stays whole, though the window may be shorter."""
SETTLED_S = 1.0
"""After so long a consumer is known where it consumes."""
HEARD_S = 0.1
"""In which slow disks on slow links let everybody hear of a commit."""
QUEUE_PATH = re.compile(r"/vhosts/[^/]+/queues/[^/]+")


class Broken(AssertionError):
    """A promise is broken; the text names it. `trace` is what had happened."""

    def __init__(self, text: str, trace: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.trace = trace


# ---------------------------------------------------------------------- what clients saw


def judge_loss(ledger: Ledger, sheds: Collection[str] = ()) -> None:
    """S1, S16: what was confirmed came to somebody who acknowledged it, on whatever roads, in the end; but for what a
    road drops that has a limit, the ones named."""
    left = sorted(ledger.confirmed - ledger.acknowledged)
    lost = [body for body in left if body.partition(b"/")[0].decode() not in sheds]
    if lost:
        raise Broken(f"lost: {len(lost)} confirmed messages, {lost[:5]}")
    invented = sorted(ledger.seen.keys() - ledger.published)
    if invented:
        raise Broken(f"invented: {invented[:5]}")


def judge_kept(ledger: Ledger, kept: Collection[bytes]) -> None:
    """S9: of two sides that went on without each other none loses what it confirmed: it came to somebody who
    acknowledged it, or it is in a recovery file."""
    lost = sorted(ledger.confirmed - ledger.acknowledged - set(kept))
    if lost:
        raise Broken(f"lost: {len(lost)} confirmed messages that are set aside nowhere, {lost[:5]}")
    invented = sorted((ledger.seen.keys() | set(kept)) - ledger.published)
    if invented:
        raise Broken(f"invented: {invented[:5]}")


def judge_order(ledger: Ledger) -> None:
    """What one producer published in order, with one priority, one consumer gets in order, redeliveries apart."""
    newest: dict[tuple[str, bytes, int], int] = {}
    for delivery in ledger.deliveries:
        if delivery.redelivered or not delivery.direct:
            continue
        producer, _, number = delivery.body.rpartition(b":")
        key = (delivery.consumer, producer, ledger.levels.get(delivery.body, 0))
        if int(number) <= newest.get(key, 0):
            raise Broken(f"order: {delivery.body!r} came to {delivery.consumer} after number {newest[key]}")
        newest[key] = int(number)


def judge_transactions(ledger: Ledger) -> None:
    """What was taken back never happened."""
    seen = sorted(ledger.taken_back & ledger.seen.keys())
    if seen:
        raise Broken(f"transaction: {seen[:5]} were taken back, and came")


def judge_cancels(ledger: Ledger, changes: Mapping[str, Sequence[float]]) -> None:
    """Who wants to be told of a failover gets nothing from the next master before it consumes anew; `changes`: when
    masters had changed, by queue. One that was moved hears of it a little later than the next (106 of operators)."""
    sessions = {session.consumer: session for session in ledger.sessions if session.cancels}
    for delivery in ledger.deliveries:
        session = sessions.get(delivery.consumer)
        if session is None:
            continue
        for changed in changes.get(session.queue, ()):
            if session.began + SETTLED_S < changed < ledger.times[delivery.body] - HEARD_S:
                raise Broken(
                    f"cancel: {session.consumer} got {delivery.body!r}, published after its master had changed"
                )


def judge_single(ledger: Ledger, queues: Collection[str], changes: Mapping[str, Sequence[float]]) -> None:
    """Under one master one consumer at a time is given something. What had been on its way to another one may come in
    between, once."""
    for queue in queues:
        turns: Counter[tuple[int, str]] = Counter()
        last = (0, "")
        for delivery in ledger.deliveries:
            if delivery.queue == queue:
                now = bisect_right(changes.get(queue, ()), delivery.time), delivery.consumer
                turns[now] += now != last
                last = now
        often = [consumer for (_, consumer), times in turns.items() if times > 2]
        if often:
            raise Broken(f"single: consumers of {queue} took turns, {often}")


def judge_delays(ledger: Ledger) -> None:
    """Nothing comes before its time; a clock of milliseconds may round one of them off."""
    for delivery in ledger.deliveries:
        due = ledger.dues.get(delivery.body)
        if due is not None and delivery.time < due - 0.001:
            raise Broken(f"early: {delivery.body!r} came {due - delivery.time:.3f} s before its time")


def judge_counts(ledger: Ledger, limit: int) -> None:
    """A message of a quorum queue says that it came back when it did, and is not given out beyond the limit."""
    for delivery in ledger.deliveries:
        count = delivery.headers.get(COUNT, 0) if delivery.direct else 0
        if count > limit:
            raise Broken(f"count: {delivery.body!r} was given out with a count of {count}")
        if count and not delivery.redelivered:
            raise Broken(f"count: {delivery.body!r} came back {count} times and is not flagged")


def judge_deaths(ledger: Ledger, deaths: Mapping[str, frozenset[str]]) -> None:
    """A dead letter says why it died last; `deaths`: by queue which reasons are possible."""
    for delivery in ledger.deliveries:
        if delivery.queue not in deaths:
            continue
        told = delivery.headers.get("x-death") or [{}]
        if told[0].get("reason") not in deaths[delivery.queue]:
            raise Broken(f"death: {delivery.body!r} came to {delivery.queue} and says {told}")


def judge_answers(ledger: Ledger) -> None:
    """An answer by direct reply-to comes to whoever asked, or to nobody."""
    if ledger.strays:
        raise Broken(f"stray: {ledger.strays[:5]}")


def judge_prefetch(ledger: Ledger) -> None:
    """No channel holds more than it wanted, wherever its queues have their masters."""
    if ledger.surfeits:
        raise Broken(f"prefetch: (who, held, limit) {ledger.surfeits[:5]}")


# ---------------------------------------------------------------------- what was committed


class Histories:
    """S3, ZAB B9: nodes apply the same transactions in the same order; a term has one master."""

    def __init__(self) -> None:
        self._payloads: dict[int, bytes] = {}
        self._stretches: list[tuple[str, list[int]]] = []
        """Per process: transactions that it applied one after the other, without a snapshot between."""
        self._current: dict[State, list[int]] = {}
        self._masters: dict[tuple[int, int], tuple[str, int]] = {}
        self._quorum_queues: dict[str, QueueRecord] = {}
        self._leader = ""
        self._newest: dict[str, tuple[int, str]] = {}
        """By queue its newest term, and who was its master under it."""
        self._changes: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See every transaction that any node applies."""
        apply, restore = State.apply, State.restore

        def watched_apply(state: State, zxid: int, payload: bytes) -> Transaction:
            self._take(state, zxid, payload)
            return apply(state, zxid, payload)

        def watched_restore(state: State, snapshot: bytes) -> None:
            self._current.pop(state, None)
            restore(state, snapshot)

        with patch.object(State, "apply", watched_apply), patch.object(State, "restore", watched_restore):
            yield

    def _take(self, state: State, zxid: int, payload: bytes) -> None:
        process = PROCESS.get()
        if zxid not in self._payloads:
            self._look_at_promotions(payload)
        if self._payloads.setdefault(zxid, payload) != payload:
            raise Broken(f"history: {process} applied another transaction {zxid:#x} than others")
        if state not in self._current:
            self._current[state] = []
            self._stretches.append((process, self._current[state]))
        applied = self._current[state]
        if applied and applied[-1] >= zxid:
            raise Broken(f"history: {process} applied {zxid:#x} after {applied[-1]:#x}")
        applied.append(zxid)

    def _look_at_promotions(self, payload: bytes) -> None:
        """No quorum queue gets a master that was not in sync, or becomes so in this very transaction: whose entry is
        proposed holds everything, and the master of a drained node hands over as soon as there is one."""
        operations = Transaction.decode(payload).operations
        entered = {
            (facts["id"], facts["node"])
            for facts in (json.loads(each.facts) for each in operations if isinstance(each, Event))
            if facts.get("change") == "entered"
        }
        for operation in operations:
            if not isinstance(operation, Create | Set) or QUEUE_PATH.fullmatch(operation.path) is None:
                continue
            record = decode(QueueRecord, operation.data)
            if not is_quorum(record.arguments):
                continue
            before = self._quorum_queues.get(operation.path, record)
            nodes = {life.node for life in before.in_sync} | {node for id_, node in entered if id_ == record.id}
            if record.master.node not in nodes or record.lossy_term:
                raise Broken(f"promotion: {record.name} was given to {record.master}, in sync were {before.in_sync}")
            self._quorum_queues[operation.path] = record

    def judge_prefixes(self) -> None:
        """Nobody left out a transaction between two others."""
        everything = sorted(self._payloads)
        for process, applied in self._stretches:
            expected = everything[bisect_left(everything, applied[0]) : bisect_right(everything, applied[-1])]
            if applied != expected:
                left_out = sorted(set(expected) - set(applied))
                raise Broken(f"history: {process} left out {[hex(zxid) for zxid in left_out[:5]]}")

    def look_at_masters(self, world: World) -> None:
        """Note who serves which term now."""
        for name in world.serving():
            hall = world.hall(name)
            assert hall is not None
            for queue_id, local in hall.guests.locals.items():
                life, term = (name, hall.life.number), local.master.term
                if (queue_id, term) not in self._masters:
                    self._masters[queue_id, term] = life
                    queue = next((record.name for record in world.queues() if record.id == queue_id), f"{queue_id:#x}")
                    world.note(f"{name} is master of {queue} in term {term:#x}")
                    newest = self._newest.get(queue, (0, name))
                    if term > newest[0]:
                        self._newest[queue] = term, name
                        if newest[1] != name:
                            self._changes[queue].append(trio.current_time())
                elif self._masters[queue_id, term] != life:
                    others = self._masters[queue_id, term]
                    raise Broken(f"masters: {life} and {others} serve term {term:#x} of {queue_id:#x}")
        leader = world.leader()
        if leader != self._leader and leader is not None:
            self._leader = leader
            world.note(f"{leader} leads")

    def changes(self) -> dict[str, list[float]]:
        """When it was seen that queues had got masters on other nodes."""
        return self._changes

    def promotions(self) -> int:
        """How often a queue went on under a master on another node."""
        return sum(map(len, self._changes.values()))

    def elections(self) -> int:
        """How many leaders got something done."""
        return len({epoch_of(zxid) for zxid in self._payloads})


# ---------------------------------------------------------------------- what stands in the copies


async def judge_copies(world: World) -> None:
    """S2, S5: when all is quiet, whoever counts as synchronised holds what the master holds, byte for byte, under
    the same time to live, and knows how often it came back."""
    for record in world.queues():
        local, hall = world.master(record), world.hall(record.master.node)
        if local is None or hall is None:
            raise Broken(f"copies: {record.name} has no master")
        wanted = await _contents(hall, record.id, [*local.queue.living()])
        _judge_twins(record, wanted)
        for life in record.in_sync:
            hall = world.hall(life.node)
            if life == record.master or hall is None:
                continue
            mirror = hall.mirrors.mirrors.get(record.id)
            if mirror is None:
                raise Broken(f"copies: {life} is in sync and has no copy of {record.name}")
            held = await _contents(hall, record.id, [*mirror.copy.line.pieces()])
            missing, surplus = sorted(wanted.keys() - held.keys()), sorted(held.keys() - wanted.keys())
            other = sorted(p for p in held.keys() & wanted.keys() if not _is_as_good(held[p], wanted[p]))
            if missing or surplus or other:
                raise Broken(
                    f"copies: {life} lacks {missing[:5]} of {record.name}, has {surplus[:5]} too many, {len(other)} "
                    f"differ, at {other[:5]} in counts {[(held[p][1], wanted[p][1]) for p in other[:5]]}"
                )


def _judge_twins(record: QueueRecord, contents: Mapping[int, "Message"]) -> None:
    """S6: nobody publishes a message twice, and no queue takes one in twice, however often it was sent again."""
    bodies = Counter(body_of(message[0][0]) for message in contents.values())
    twins = [body for body, times in bodies.items() if times > 1 and body.startswith(record.name.encode() + b"/")]
    if twins:
        raise Broken(f"twins: {record.name} holds {twins[:5]} more than once")


Message = tuple[tuple[bytes, bytes, "Traits", int], int]
"""What a copy knows of one message: what never changes of it, and how often it came back."""


def _is_as_good(held: Message, wanted: Message) -> bool:
    """A deposed master may have seen a message come back that its successor gave to nobody: that is true, and kept."""
    return held[0] == wanted[0] and held[1] >= wanted[1]


async def _contents(hall: "Hall", queue_id: int, pieces: list[Piece]) -> dict[int, Message]:
    """What lies on disk is read for that, and must be there."""
    found: dict[int, Message] = {}
    for piece in pieces:
        runs: list[Piece] = [piece]
        if isinstance(piece, Page):
            runs = [*piece.filled(await hall.switchboard.journal.load(queue_id, piece.first, piece.last))]
        for run in runs:
            if isinstance(run, Page):
                raise Broken(f"copies: the contents of {run} are not in the journal of {hall.life}")
            for position, content in enumerate(run.contents, run.first):
                found[position] = (content, run.address, run.traits, run.stamp_ms), run.returned
    return found


def takes_no_space(world: World) -> bool:
    """S14: when all is drained and quiet no journal holds a living message."""
    halls = filter(None, map(world.hall, world.hosts))
    return not any(hall.switchboard.journal.statistics()["living_messages"] for hall in halls)


def judge_memory(world: World) -> None:
    """A line that is quiet keeps about its window in memory, whatever it holds; and a few messages, however long."""
    for hall in filter(None, map(world.hall, world.hosts)):
        weights: dict[int, tuple[int, int]] = {}  # by queue id: bytes and messages in memory
        for queue_id, local in hall.guests.locals.items():
            queue = local.queue
            weights[queue_id] = queue._weigh_now(), sum(piece.count for piece in queue.living()) - queue.paged_messages
        for queue_id, mirror in hall.mirrors.mirrors.items():
            line = mirror.copy.line
            weights[queue_id] = line.resident_bytes, len(line) - line.paged_messages
        most_bytes = 2 * hall.mirrors._paging.window_bytes
        for queue_id, (size_bytes, count) in weights.items():
            if size_bytes > most_bytes and count > FEW_MESSAGES and hall.switchboard.journal.keeps:
                raise Broken(f"memory: {hall.life} keeps {count} messages, {size_bytes} bytes, of queue {queue_id:#x}")


def takes_little_space(world: World) -> bool:
    """The records of a journal come to twice what lives at most, and to a few segments more."""
    for hall in filter(None, map(world.hall, world.hosts)):
        journal = hall.switchboard.journal
        segments = journal._books.segments.values()
        living_bytes = sum(segment.living_bytes for segment in segments)
        if sum(segment.fill for segment in segments) > 2 * living_bytes + SEGMENTS_TO_SPARE * journal._segment_bytes:
            return False
    return True


def ranges_held(world: World, queue: str, node: str) -> list[tuple[int, int]]:
    """The living positions in a node's copy of a queue, master or mirror."""
    record, hall = world.queue(queue), world.hall(node)
    assert hall is not None
    local = hall.guests.locals.get(record.id)
    if local is not None:
        return local.queue.living_ranges()
    mirror = hall.mirrors.mirrors.get(record.id)
    return [] if mirror is None else mirror.copy.line.ranges()
