"""The master of a queue: does each operation once on the queue, and notes it for disk and mirrors.

Decides what is written to the log, in which order, and from when on a message is confirmed or may be delivered. Notes
go to an outbox in the order in which they must be stored and sent; whoever drains it reports each note's place in the
journal. The master must not know links, disks, clients or who is alive: it is told.
"""

from collections.abc import Callable, Sequence

from broker.mirroring.copy import Copy
from broker.mirroring.ranges import Range, extend, intersect, subtract
from broker.mirroring.witnesses import Effect, Opened, Witnesses
from broker.queues.line import Line
from broker.queues.queue import Queue
from broker.queues.settings import Settings
from broker.wire import records
from broker.wire.message import PassedRun, Place, Run, kept

CHUNK_MESSAGES_MAX = 4096
"""A backlog is opened for delivery in chunks of at most so many messages (S7)."""
FETCHED_PER_MESSAGE_AHEAD = 8
FETCHED_AHEAD_MAX = 64
"""Of a backlog that basic.get works off so much is opened ahead: an eighth of what it has had, and at most so many."""


class Note:
    """One record on its way out; `effect` says what follows when it is safe."""

    __slots__ = ("durable", "effect", "number", "raw", "record")

    def __init__(self, number: int, record: records.QueueRecord, durable: bool, effect: Effect) -> None:
        self.number = number
        self.record = record
        self.raw = records.encode(record)
        self.durable = durable
        self.effect = effect


class Master:
    """One queue under one term. Notes are numbered from 1, the record of the term itself."""

    __slots__ = (
        "_chunk",
        "_fetched",
        "_freed",
        "_marks",
        "_opening",
        "confirmed_note",
        "copy",
        "gives",
        "logged",
        "note",
        "openings",
        "outbox",
        "queue",
        "term",
        "witnesses",
    )

    def __init__(self, copy: Copy, term: int, settings: Settings, *, mirrored: bool) -> None:
        """Take a copy over under a new term; what was announced for delivery counts as redelivered (S7)."""
        self.copy = copy
        self.term = term
        self.logged = copy.durable or mirrored
        self.queue = Queue(settings, logged=self.logged, line=copy.line, next_position=copy.next_position)
        self.witnesses = Witnesses()
        self.outbox: list[Note] = []
        self.note = 0
        self.confirmed_note = 0
        self.gives = True
        """Whether messages are given to consumers; see `give`."""
        self.openings = 0
        """How often a mark was moved: whoever waits for one may look again."""
        self._opening: set[int] = set()
        self._marks: dict[int, int] = {}
        """Per priority level the position up to which messages may be delivered by now."""
        self._chunk = 1
        self._fetched = 0
        self._freed: list[Range] = []
        if copy.paged:
            self.queue.log()
        for level, upto in copy.marks.items():
            self.queue.mark_redelivered(upto, level)
        if self.logged:
            self.queue.open_upto = 0
            copy.terms.begin(term, copy.next_position)
            copy.promised = term
            self._put(records.Term(copy.queue_id, term, copy.next_position), copy.durable)
            missed = copy.repeats.forget_at(copy.lacking) if copy.lacking else []
            for change in (*missed, *copy.repeats.truncate(copy.next_position - 1)):  # announced, and never came
                self._put(records.Origin(copy.queue_id, term, *change), copy.durable)
            for level, upto in copy.marks.items():  # of the last of them another copy, or the own disk, may not know
                self._opening.add(level)
                self._announce(level, upto)
        else:
            self.note = self.confirmed_note = 1  # the term's own record, which nobody needs

    def _open(self, level: int, upto: int) -> None:
        self._marks[level] = upto
        self.openings += 1
        if self.gives:
            self.queue.open_level(level, upto)

    def give(self, allowed: bool) -> bool:
        """Stop or go on giving messages to consumers; True if they may get some again.

        A master whose lease has run out, as after a sleep, may have a successor that gives out the same (S4).
        """
        if allowed == self.gives or not self.logged:
            return False
        self.gives = allowed
        if not allowed:
            self.queue.open_upto = 0
            return False
        for level, upto in self._marks.items():
            self.queue.open_level(level, upto)
        return True

    def retire(self) -> Copy:
        """The copy as it is now, for a successor on this node: everything that lives, in one line."""
        copy = self.copy
        copy.line = Line(self.queue.living())
        copy.next_position = self.queue.next_position
        return copy

    def page_out(self, window_bytes: int) -> list[Run]:
        """Forget contents if they are more than this; returns what was forgotten (see `Window.page_out`).

        Call it when all notes are stored: then only what is not persistent, or not `stored`, has to be.
        """
        forgotten = self.queue.page_out(window_bytes)
        if forgotten and not self.copy.durable:
            self.copy.paged = True
            self.queue.log()
        return forgotten

    def take_freed(self) -> list[Range]:
        """Drain the positions of a queue that is not durable which have settled: nobody will ask the journal for them
        any more. Call it once a turn, after `note_settled`."""
        if not self.copy.paged:
            return []
        if not self.logged:
            for first, last in self.queue.take_settled():
                extend(self._freed, first, last)
        freed, self._freed = self._freed, []
        return freed

    def mirror(self) -> None:
        """From now on the queue has mirrors: everything is logged. Contents stay, deliveries are announced."""
        if not self.logged:
            self.logged = True
            self.queue.log()
            self.copy.terms.begin(self.term, 1)
            self.copy.promised = self.term
            self.queue.open_upto = 0
            for level in range((self.queue.settings.max_priority or 0) + 1):  # what was given out was not announced
                self.copy.marks[level] = self.queue.next_position - 1
                self._open(level, self.queue.next_position - 1)

    # ------------------------------------------------------------------ what clients do

    def publish(self, run: Run, stamp_ms: int) -> tuple[Sequence[tuple[int, int]], int]:
        """Append a run; returns the index ranges that were refused, mostly none, and the note that makes the others
        safe (0: they are).

        A consumer that waits at an empty queue is served at once: delivery does not wait for mirrors, confirms do. The
        mark then goes out before the run, so that no mirror holds an unmarked message that somebody has seen (S7).
        """
        queue, copy = self.queue, self.copy
        if isinstance(run, PassedRun):
            return self._take_letters(run, stamp_ms)
        if queue.settings.counts_returns:
            run.traits = kept(run.traits)
        if run.origin is not None:
            copy.origins[run.origin] = run.sequence + len(run.contents) - 1
        if not self.logged:
            return queue.publish(run, stamp_ms), 0
        consumers = queue.consumers
        live = consumers.members and self.gives and queue.messages_ready == 0 and consumers.next() is not None
        if live:
            level = queue.level_of(run)
            queue.open_level(level, queue.next_position + len(run.contents) - 1)
        refused = queue.publish(run, stamp_ms)
        if live:
            self._announce_given(level, queue.next_position - 1)
        copy.next_position = queue.next_position
        return refused, self._note_parts(run, refused) if refused else self._note_published(run)

    def _take_letters(self, run: PassedRun, stamp_ms: int) -> tuple[Sequence[tuple[int, int]], int]:
        """As `publish`, of letters of another queue: what was taken already is only answered again (S16).

        That they come is noted first: a successor that has the note and not the letters knows by their places here that
        it has not. Where a limit may refuse some, it is noted behind: then they may come twice, but are never lost.
        """
        refused: list[tuple[int, int]] = []
        note = 0
        for start, stop in self.copy.repeats.fresh(run.place, run.count):
            part = run.plain(start, stop)
            place = run.place._replace(position=run.place.position + start)
            at, may_refuse = self.queue.next_position, self.queue.settings.may_refuse
            lasting = self.copy.durable and part.traits.persistent
            if not may_refuse:
                self._note_letters(place, part.count, at, durable=lasting)
            out, published = self.publish(part, stamp_ms)
            note = published or note
            if may_refuse:
                for begin, end in _others(out, part.count):
                    self._note_letters(
                        place._replace(position=place.position + begin), end - begin, at, durable=lasting
                    )
                    at += end - begin
            refused += [(begin + start, end + start) for begin, end in out]
        if run.origin is not None:
            self.copy.origins[run.origin] = run.sequence + run.count - 1
        return refused, note

    def _note_letters(self, place: Place, count: int, at: int, *, durable: bool) -> None:
        for change in self.copy.repeats.take(place, count, at):
            if self.logged and (durable or self.witnesses.anybody):
                self._put(records.Origin(self.copy.queue_id, self.term, *change), durable)

    def _note_parts(self, run: Run, refused: Sequence[tuple[int, int]]) -> int:
        """What was accepted and what was refused, in the publisher's order: the log always knows how far it is."""
        note, start, first, size = 0, 0, run.first, len(run.contents)
        for stop, following in (*refused, (size, size)):
            if start < stop:
                part = run.cut(start, stop)
                part.first = first
                first += stop - start
                note = self._note_published(part) or note
            if run.origin is not None and stop < following:
                note = self._note_refused(run.origin, run.sequence + stop, run.sequence + following - 1)
            start = following
        return note

    def _note_published(self, run: Run) -> int:
        copy = self.copy
        durable = copy.durable and run.traits.persistent
        if not durable and not self.witnesses.anybody:
            return 0
        if self.witnesses.followers:
            for follower in self.witnesses.followers.values():
                follower.published(run.first, run.last)
        self._put(records.Publish(copy.queue_id, self.term, run), durable)
        return self.note

    def _note_refused(self, origin: str, first: int, last: int) -> int:
        """A successor has to know: it would take what came later for a sign that this was let in (S6)."""
        copy = self.copy
        refused = copy.refused.setdefault(origin, [])
        extend(refused, first, last)
        self._put(records.Origin(copy.queue_id, self.term, origin, last, list(refused)), copy.durable)
        return self.note

    def answered(self, origin: str, upto: int) -> None:
        """This publisher's node has had its answer for everything up to this sequence."""
        refused = self.copy.refused.get(origin)
        if refused and refused[0][0] <= upto:
            self.copy.refused[origin] = subtract(refused, [(0, upto)])

    def forget_origins(self, is_over: Callable[[str], bool]) -> None:
        """Lives that are over send nothing again (S6)."""
        copy = self.copy
        for origin in [origin for origin in copy.origins if is_over(origin)]:
            del copy.origins[origin]
            copy.refused.pop(origin, None)
            if self.logged and (copy.durable or self.witnesses.anybody):
                self._put(records.Origin(copy.queue_id, self.term, origin, 0), copy.durable)

    def _announce_given(self, level: int, last: int) -> None:
        first = self.queue.first_ready
        given = last if first is None else min(last, first - 1)
        if given > self.copy.marks.get(level, 0):
            self._announce(level, given)
        self._open(level, max(given, self._marks.get(level, 0)))
        self._chunk, self._fetched = 1, 0

    def _announce(self, level: int, upto: int) -> None:
        copy = self.copy
        copy.marks[level] = upto
        self._put(records.Mark(copy.queue_id, self.term, level, upto), copy.durable, Opened(level, upto))

    def open_more(self) -> None:
        """Announce the next chunk of a backlog if a consumer waits behind the mark; chunks double while they are used.

        What is announced may be delivered when every in-sync copy has it (`opened`).
        """
        queue = self.queue
        if self.logged and self.gives and not self._opening and queue.wants_open():
            self._announce_chunk(max(self._chunk, queue.room()))

    def open_one(self) -> None:
        """Announce the next message for a basic.get, and a few behind it if the queue is emptied so: each time all
        disks have to be waited for."""
        if self.logged and self.gives and not self._opening:
            wanted = min(FETCHED_AHEAD_MAX, 1 + self._fetched // FETCHED_PER_MESSAGE_AHEAD)
            self._fetched += wanted
            self._announce_chunk(wanted)

    def _announce_chunk(self, wanted: int) -> None:
        closed = self.queue.closed_levels()
        if not closed:
            return
        level, last = closed[-1]  # the highest level goes first
        behind = self.queue.first_closed(level)
        self._chunk = min(CHUNK_MESSAGES_MAX, 2 * wanted)
        self._opening.add(level)
        self._announce(level, min(last, behind + min(wanted, CHUNK_MESSAGES_MAX) - 1))

    def settle_again(self, ranges: list[Range]) -> None:
        """These settled under an earlier term, which ended before every in-sync copy was known to have that: only when
        they have it under this one may the space go (S14). Where this term begins others will stand."""
        if ranges := intersect(ranges, [(1, self.copy.next_position - 1)]):
            self._put(records.Settle(self.copy.queue_id, self.term, ranges), self.copy.durable, ranges)

    def note_settled(self) -> None:
        """Put what has left the queue for good, or was given back, into the log; called once a turn."""
        if not self.logged:
            return
        if returned := self.queue.take_returned():
            self._put(records.Returned(self.copy.queue_id, self.term, returned), self.copy.durable)
        ranges: list[Range] = []
        for first, last in self.queue.take_settled():
            extend(ranges, first, last)
        if not ranges:
            return
        if self.copy.paged:
            self._freed += ranges
        for follower in self.witnesses.followers.values():
            follower.settled(ranges)
        if self.copy.durable or self.witnesses.anybody:
            self._put(records.Settle(self.copy.queue_id, self.term, ranges), self.copy.durable, ranges)

    # ------------------------------------------------------------------ what disk and mirrors answer

    def take_notes(self) -> list[Note]:
        """Drain the log's new records, in the order in which they must be stored and sent."""
        notes, self.outbox = self.outbox, []
        return notes

    def last_notes(self) -> list[Note]:
        """What the own journal still has to know when this term ends here: else the copy and what is on disk differ."""
        self.note_settled()
        return [note for note in self.take_notes() if note.durable]

    def unsafe_settles(self) -> list[Range]:
        """What has settled, and not every copy that counts is known to have that."""
        effects = [*(effect for *_, effect in self.witnesses.waiting), *(note.effect for note in self.outbox)]
        return [each for effect in effects if isinstance(effect, list) for each in effect]

    def shipped(self, note: Note, lsn: int) -> None:
        """The note stands in the own journal up to `lsn` (0: it need not), and went out to the mirrors.

        A settle is not waited for on disk: it may be repeated after a restart, but its space goes only when every
        in-sync copy has it (S14).
        """
        settles = isinstance(note.effect, list)
        self.witnesses.wait(note.number, 0 if settles else lsn, note.durable and not settles, note.effect)

    def advance(self, journal_synced: int) -> list[Range]:
        """Take in what disk and mirrors have acknowledged; returns positions whose space may go.

        Afterwards `confirmed_note` says up to which note publishers may be answered.
        """
        freed: list[Range] = []
        opened = False
        for note, _, _, effect in self.witnesses.safe(journal_synced):
            self.confirmed_note = note
            if effect is None:
                continue
            if isinstance(effect, Opened):
                level, upto = effect
                if upto >= self.copy.marks.get(level, 0):  # a later announcement may be under way
                    self._opening.discard(level)
                self._open(level, max(upto, self._marks.get(level, 0)))
                opened = True
            else:
                freed.extend(effect)
        if opened:
            self.queue.pump()
            self.open_more()
        return freed

    def _put(self, record: records.QueueRecord, durable: bool, effect: Effect = None) -> None:
        self.note += 1
        self.outbox.append(Note(self.note, record, durable, effect))


def _others(ranges: Sequence[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """Of so many indexes those in none of the ranges (start, stop), as such ranges."""
    others: list[tuple[int, int]] = []
    at = 0
    for start, stop in (*ranges, (count, count)):
        if at < start:
            others.append((at, start))
        at = stop
    return others
