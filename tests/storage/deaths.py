"""Lives of a journal that die at any step, and what the next life may find.

What comes back is a prefix of what was appended; it reaches at least to what was reported as synced, and in it every
record counts, so nothing confirmed is lost and nothing settled comes back. `QueueState` is the specification of the
records, in the simplest words. It must not know how a journal keeps its promises.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, TypeVar

import trio
import trio.testing

from broker.storage.journal import Journal
from broker.storage.recover import RecoveredQueue, Recovery
from broker.wire.message import Run, Traits, make_address
from broker.wire.records import Drop, Hole, Mark, Origin, Publish, QueueRecord, Returned, Settle, Term, encode
from broker.wire.sealed import PositionRanges
from tests.simulation.disk import PowerCut, SimDisk
from tests.simulation.scheduler import seeded_scheduler
from tests.storage.lives import recovered

SEGMENT_BYTES = 700
TRAITS = Traits(persistent=True)
ADDRESS = make_address("", "q")
ORIGINS = ("n1/1/1", "n2/1/1", None)


@dataclass
class QueueState:
    """What one queue must look like: the specification of the records, in the simplest words."""

    alive: dict[int, bytes] = field(default_factory=dict)
    terms: list[tuple[int, int]] = field(default_factory=list)
    marks: dict[int, int] = field(default_factory=dict)
    origins: dict[str, tuple[int, PositionRanges]] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)
    """How often they were given back; only what lives counts."""
    holes: PositionRanges = field(default_factory=list)
    next: int = 1

    def after(self, record: QueueRecord) -> "QueueState":
        match record:
            case Publish(run=run):
                new = dict(zip(range(run.first, run.last + 1), run.contents, strict=True))
                origins = self.origins
                if run.origin is not None:
                    highest, refused = origins.get(run.origin, (0, []))
                    origins = origins | {run.origin: (max(highest, run.sequence + len(new) - 1), refused)}
                return replace(self, alive=self.alive | new, origins=origins, next=max(self.next, run.last + 1))
            case Settle(ranges=ranges):
                dead = {position for first, last in ranges for position in range(first, last + 1)}
                return replace(self, alive={p: content for p, content in self.alive.items() if p not in dead})
            case Term(term=term, first=first):
                return replace(
                    self,
                    alive={p: content for p, content in self.alive.items() if p < first},
                    times={p: times for p, times in self.times.items() if p < first},
                    terms=[entry for entry in self.terms if entry[1] < first] + [(term, first)],
                    next=first,
                )
            case Mark(level=level, upto=upto):
                return replace(self, marks=self.marks | {level: upto})
            case Returned(counts=counts):
                new_times = {p: times for first, last, times in counts for p in range(first, last + 1)}
                return replace(self, times=self.times | new_times)
            case Origin():
                return replace(self, origins=self.origins | {record.origin: (record.highest, record.refused)})
            case Hole():
                return replace(self, holes=record.ranges)
            case Drop():
                return QueueState()
        raise AssertionError(record)


State = dict[int, QueueState]


Found = tuple[Recovery, dict[int, list[Run]]]


def shows(found: RecoveredQueue | None, line: list[Run], expected: QueueState) -> bool:
    if found is None:
        return expected == QueueState()
    contents = {run.first + index: content for run in line for index, content in enumerate(run.contents)}
    assert list(contents) == sorted(contents), "order is kept"
    times = {p: times for first, last, times in found.returned for p in range(first, last + 1)}
    return (
        contents == expected.alive
        and found.terms == expected.terms
        and found.marks == expected.marks
        and found.origins == expected.origins
        and found.holes == expected.holes
        and {p: times[p] for p in contents if p in times} == {p: t for p, t in expected.times.items() if p in contents}
        and found.next_position >= expected.next
    )


class Life:
    """One run of a node: random appends on what the disk gave back, until it dies."""

    def __init__(self, chance: Random, disk: SimDisk, state: State, term: int) -> None:
        self.chance = chance
        self.state = dict(state)
        self.term = term
        self.journal = Journal(disk, segment_bytes=SEGMENT_BYTES)
        self.states: list[tuple[int, State]] = []  # what had to be found after a death behind that LSN
        self.unreleased: list[Settle] = []
        self.volatile: dict[int, dict[int, bytes]] = {queue_id: {} for queue_id in state}  # paged out, in no record
        self.next: dict[int, int] = {}  # positions that only such messages have used count in this life, too
        self.reported = 0
        self.journal.on_synced.append(self._note_synced)

    async def live(self, appends: int) -> None:
        self.states.append((0, dict(self.state)))
        await self.journal.recover()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.journal.run)
            readers = trio.CancelScope()
            nursery.start_soon(self.read_back, readers)
            for queue_id in self.state:
                self.append(Term(queue_id, self.new_term(), self.state[queue_id].next))
            for _ in range(appends):
                queue_id = self.chance.choice(list(self.state))
                if self.chance.random() < 0.15 and self.state[queue_id].terms:
                    self.page_out(queue_id)
                else:
                    self.append(self.some_record(queue_id))
                if self.chance.random() < 0.5:
                    await trio.sleep(self.chance.choice((0, 0.001, 0.03)))
            readers.cancel()
            self.journal.stop()

    async def read_back(self, readers: trio.CancelScope) -> None:
        """Again and again something that lives: it must come back, whatever moves or dies meanwhile."""
        with readers:
            while True:
                await trio.sleep(self.chance.choice((0.005, 0.04)))
                queue_id = self.chance.choice(list(self.state))
                alive = self.state[queue_id].alive | self.volatile[queue_id]
                first = self.chance.choice(list(alive)) if alive else 1
                last = first + self.chance.choice((0, 5, 1000))
                reading = self.journal.locate(queue_id, first, last)
                await trio.sleep(self.chance.choice((0, 0.03)))
                runs = await reading.read()
                read = {run.first + index: content for run in runs for index, content in enumerate(run.contents)}
                assert list(read) == sorted(read)
                assert {p: content for p, content in alive.items() if first <= p <= last}.items() <= read.items()

    def page_out(self, queue_id: int) -> None:
        """Messages without room in memory, or the death of some that went that way."""
        queue, volatile = self.state[queue_id], self.volatile[queue_id]
        dead = [p for p in volatile if self.chance.random() < 0.5]
        self.journal.settled(queue_id, [(p, p) for p in dead])
        for position in dead:
            del volatile[position]
        first, term = self.next_of(queue_id), queue.terms[-1][0]
        contents = [b"volatile %d/%d" % (term, first + index) for index in range(self.chance.randint(1, 4))]
        self.journal.page_out(queue_id, term, Run(contents, ADDRESS, Traits(), first=first))
        volatile.update(zip(range(first, first + len(contents)), contents, strict=True))
        self.next[queue_id] = first + len(contents)

    def next_of(self, queue_id: int) -> int:
        return max(self.state[queue_id].next, self.next.get(queue_id, 1))

    def append(self, record: QueueRecord) -> None:
        lsn = self.journal.append(encode(record), record)
        if isinstance(record, Settle):
            self.unreleased.append(record)
        if isinstance(record, Term | Drop):
            start = self.next[record.queue_id] = record.first if isinstance(record, Term) else 1
            self.unreleased = [settle for settle in self.unreleased if settle.queue_id != record.queue_id]
            volatile = self.volatile[record.queue_id]
            self.volatile[record.queue_id] = {p: content for p, content in volatile.items() if p < start}
        while self.unreleased and self.chance.random() < 0.5:
            released = self.unreleased.pop(0)
            self.journal.settled(released.queue_id, released.ranges)
        self.state = self.state | {record.queue_id: self.state[record.queue_id].after(record)}
        self.states.append((lsn, self.state))

    def some_record(self, queue_id: int) -> QueueRecord:
        queue = self.state[queue_id]
        dice = self.chance.random()
        if not queue.terms or dice < 0.03:
            return Term(queue_id, self.new_term(), max(queue.next - self.chance.choice((0, 0, 3)), 1))
        term = queue.terms[-1][0]
        if dice < 0.06:
            return Drop(queue_id)
        if dice < 0.08:
            return Mark(queue_id, term, self.chance.randint(0, 2), queue.next - 1)
        if dice < 0.1:
            return Hole(queue_id, term, [(1, 1)] if self.chance.random() < 0.5 else [])
        if dice < 0.55 and queue.alive:
            alive = sorted(queue.alive)
            if dice < 0.15:
                position = self.chance.choice(alive)
                return Returned(queue_id, term, [(position, position, queue.times.get(position, 0) + 1)])
            chosen = alive[: self.chance.randint(1, 8)] if dice < 0.45 else [self.chance.choice(alive)]
            return Settle(queue_id, term, [(position, position) for position in chosen])
        origin = self.chance.choice(ORIGINS)
        highest, _ = queue.origins.get(origin or "", (0, []))
        if origin is not None and dice < 0.57:
            return Origin(queue_id, term, origin, highest + 1, [(highest + 1, highest + 1)])
        first = self.next_of(queue_id)
        contents = [f"{queue_id}/{term}/{first + index}".encode() for index in range(self.chance.randint(1, 6))]
        sequence = highest + 1 if origin is not None else 0
        return Publish(queue_id, term, Run(contents, ADDRESS, TRAITS, first=first, origin=origin, sequence=sequence))

    def new_term(self) -> int:
        self.term += 1
        return self.term

    def _note_synced(self, lsn: int) -> None:
        assert self.reported < lsn <= self.journal.appended
        self.reported = lsn

    def found_in(self, found: Found) -> State:
        """The state that was found; fails unless it is one that the journal may come back with."""
        recovery, lines = found
        assert not recovery.damages
        possible = [state for lsn, state in self.states if lsn >= self.reported]
        if not possible or self.states[-1][0] < self.reported:  # the last records were the journal's own
            possible = [self.states[-1][1]]
        else:  # the state that was synced may have its LSN below the journal's own records
            possible.insert(0, [state for lsn, state in self.states if lsn <= self.reported][-1])
        for state in reversed(possible):
            if all(
                shows(recovery.queues.get(queue_id), lines.get(queue_id, []), queue)
                for queue_id, queue in state.items()
            ):
                return state
        raise AssertionError(f"found {recovery.queues}\nsynced {possible[0]}\nthen {possible[1:]}")


Told = TypeVar("Told")


def tell(story: Callable[..., Awaitable[Told]], seed: int, *arguments: Any, **how: Any) -> Told:
    """Run a story in virtual time; with the same seed it is the same again."""
    with seeded_scheduler(seed):
        return trio.run(partial(story, seed, *arguments, **how), clock=trio.testing.MockClock(autojump_threshold=0))


async def live_until_death(life: Life, disk: SimDisk, appends: int, kill_at_s: float | None) -> bool:
    """Returns whether the life ended by itself."""
    cut = False
    with trio.move_on_after(kill_at_s if kill_at_s is not None else 1e9) as scope:
        try:
            await life.live(appends)
        except* PowerCut:
            cut = True
    return not cut and not scope.cancelled_caught


async def several_lives(seed: int, cuts: list[int | None], appends: int = 60) -> int:
    """Live and die once per cut (a step of the disk, or None: by chance); returns the steps of the last life."""
    chance = Random(seed)
    disk = SimDisk(chance)
    state: State = {1: QueueState(), 2: QueueState(), 3: QueueState()}
    term = 0
    for cut in cuts:
        life = Life(chance, disk, state, term)
        kill_at_s = chance.uniform(0.0, 0.8) if cut is None and chance.random() < 0.3 else None
        start = disk.steps
        disk.cut_at = start + (cut if cut is not None else chance.randint(1, 400))
        at_end = await live_until_death(life, disk, appends, kill_at_s)
        steps = disk.steps - start
        if at_end:
            assert life.reported >= life.states[-1][0], "an orderly end loses nothing"
        if chance.random() < 0.3:
            disk.kill()
        else:
            disk.lose_power()
        state, term = life.found_in(await recovered(disk, segment_bytes=SEGMENT_BYTES)), life.term
        disk.lose_power()
        again = await recovered(disk, segment_bytes=SEGMENT_BYTES)
        assert life.found_in(again) == state, "what was recovered once is durable"
    return steps
