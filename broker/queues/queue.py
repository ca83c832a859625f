"""The life of one queue: publish, deliver, settle, requeue, die.

Decides who gets which message and when a message is gone. A queue is a log: every message gets the next position, keeps
it for life, and returns to it when it is requeued. The queue must not know disks, mirrors, channels or names: it leaves
in its outboxes what settled and what died, and its owner reads them (`take_settled`, `take_dead`).

Time is wall milliseconds (`stamp_ms`), as expiry outlives a node; the newest one heard counts.
"""

from typing import TYPE_CHECKING

from broker.queues.consumers import Consumer, Consumers
from broker.queues.delayed import Delays
from broker.queues.expiry import MessageExpiry, QueueExpiry
from broker.queues.limits import Limits
from broker.queues.line import Line
from broker.queues.returns import Returns
from broker.queues.window import Window
from broker.wire.message import living_at_most

DEAD_LETTER_PAUSE_MS = 5000
"""After so long a dead letter that must arrive is sent again."""

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from broker.queues.dead_letter import DeadLetter
    from broker.queues.page import Piece
    from broker.queues.settings import Settings
    from broker.wire.message import Run


class Queue(Window):
    """One queue of one term of its master; born empty or from the line that a journal or a mirror kept.

    `logged` says whether somebody wants to know what settled. `next_position` is the position of the next message.
    """

    def __init__(self, settings: "Settings", *, logged: bool, line: Line | None = None, next_position: int = 1) -> None:
        super().__init__(Line() if line is None else line, priority_max=settings.max_priority, logged=logged)
        self.settings = settings
        self.next_position = next_position
        self.has_had_consumers = False
        self.expired = False  # x-expires has passed: the owner should delete the queue
        self.consumers = Consumers(single_active=settings.single_active_consumer)
        self.consumers.pause(settings.paused)
        self._stamp_ms = 0
        self._returns = Returns()
        self.unused = QueueExpiry(settings.expires_ms)
        self._ttl_ms = settings.message_ttl_ms
        self._expiry: MessageExpiry | Delays = Delays(self._departures) if settings.delays else MessageExpiry()
        self._expiry.watch(piece for level in self._ready.lines() for piece in level.pieces())
        self._limit(settings)
        if settings.counts_returns and settings.delivery_limit is not None:
            self._bury_worn(settings.delivery_limit, settings)
        if self._limited:  # the limit may have come while there was no master to heed it
            self._shed()

    # -- the life of a message ---------------------------------------------------------------------------------------

    def publish(self, run: "Run", stamp_ms: int) -> "Sequence[tuple[int, int]]":
        """Take a run in and deliver what can be delivered; returns the index ranges (start, stop) that a rejecting
        overflow refused, mostly none.

        `run.first`, `run.stamp_ms` and, with a queue TTL, `run.traits` are set here: the accepted messages stand at
        `run.first` and the positions behind it.
        """
        self._stamp_ms = run.stamp_ms = stamp_ms
        self._expire()
        if self._ttl_ms is not None:
            run.traits = living_at_most(run.traits, self._ttl_ms)
        if self._refusing:
            return self._publish_what_fits(run)
        self._enter(run)
        if self._limited:
            self._shed()
        return ()

    def get(self, holder: "Hashable", ack_required: bool) -> "Run | None":
        """One message for basic.get, held by `holder` if it has to be acknowledged; None if none may be had now."""
        self.unused.used()
        self._expire()
        run = None if self.settings.paused else self._ready.take(1)
        if run is None:
            return None
        self.counters.redelivered += run.redelivered
        if ack_required:
            self.counters.got += 1
            self._unacked.give(holder, run)
        else:
            self.counters.got_no_ack += 1
            self._departures.settle(run.first, run.last)
        return run

    def settle(self, holder: "Hashable", first: int, last: int) -> int:
        """The holder acknowledged the positions first..last; returns how many of them it really held."""
        count = 0
        for range_first, range_last in self._unacked.discard(holder, first, last):
            count += range_last - range_first + 1
            self._departures.settle(range_first, range_last)
        self.counters.acked += count
        return count

    def requeue(self, holder: "Hashable", first: int, last: int) -> None:
        """The holder gives the positions first..last back: to their places, flagged as delivered before."""
        self._return(self._unacked.take_back(holder, first, last))

    def reject(self, holder: "Hashable", first: int, last: int) -> None:
        """The holder does not want the positions first..last, and nobody shall have them: they are dead letters."""
        for piece in self._unacked.take_back(holder, first, last):
            self._departures.bury(piece, "rejected", self.settings)

    def release(self, holder: "Hashable") -> None:
        """The holder is gone: all that it holds returns."""
        self._return(self._unacked.release(holder))

    def let_go(self, holder: "Hashable", first: int, last: int) -> None:
        """What was taken aside of the positions first..last stands again where it stood, as if nobody had had it."""
        self._put_back(self._unacked.take_back(holder, first, last))

    def come_back(self, first: int, last: int) -> None:
        """Whoever got the positions first..last of a former master has not answered for them: they are here again."""
        self._return([piece for line in self._ready.lines() for piece in line.remove(first, last)])

    def purge(self) -> int:
        """Drop everything that is ready; returns how many messages that were. Nothing of it becomes a dead letter."""
        count = len(self._ready)
        for piece in self._ready.clear():
            self._departures.settle(piece.first, piece.last)
        return count

    def keep_dead(self, dead: "DeadLetter") -> None:
        """No queue took this dead letter, which must arrive: it is sent again after a while."""
        self._departures.keep(dead, self._stamp_ms + DEAD_LETTER_PAUSE_MS)

    # -- what is not in memory ---------------------------------------------------------------------------------------

    def wanted(self) -> tuple[int, int] | None:
        """Positions first..last whose contents are needed: they are to be loaded and given to `page_in`. Consumers,
        somebody who gets, the time, or a limit that will soon count bytes, may need them."""
        ready = self._ready
        if not ready.paged_messages:
            return None
        found = self._expiry.wanted(ready.lines(), self._load_bytes) if self._expiry.may_expire else None
        if found is None and self.consumers.members:
            found = self._wanted_ahead()
        if found is None and (self._head_wanted or (self._limited and self._limits.nears(ready))):
            found = self._wanted_at_head()
        return found

    def page_in(self, runs: "list[Run]") -> None:
        """These contents, in the order of their positions, were loaded; the others count only as far as they are still
        missed. `tell_time` comes before."""
        self._fill(runs)
        self._expiry.read(runs)
        self._expire()
        if self._limited:
            self._shed()
        self._serve()

    # -- consumers ---------------------------------------------------------------------------------------------------

    def consume(self, consumer: Consumer) -> None:
        """Let a consumer join; raises ExclusiveUse. It is served from the next publish or `pump` on."""
        self.consumers.add(consumer)
        self.has_had_consumers = True

    def cancel(self, consumer: Consumer) -> None:
        """The consumer gets nothing any more. What it holds it keeps until it answers or is released."""
        if self.consumers.remove(consumer):
            self.unused.used()
            self._expire()
            self._serve()

    def pump(self, consumer: Consumer | None = None) -> None:
        """Deliver what can be delivered, now that this consumer has room again (None: any of them may have)."""
        self.consumers.wake(consumer)
        self._expire()
        self._serve()

    def wants_open(self) -> bool:
        """Whether a consumer with room waits for a message behind the mark."""
        return self._ready.is_closed and self.consumers.next() is not None

    def wants_contents(self) -> bool:
        """Whether a consumer with room waits for a message that is not in memory."""
        ready = self._ready
        return bool(ready.paged_messages) and ready.head() is None and self.consumers.next() is not None

    def room(self) -> int:
        """How many messages the consumer whose turn it is may get; 0 if nobody has room."""
        turn = self.consumers.next()
        return 0 if turn is None else turn[1]

    # -- settings and time -------------------------------------------------------------------------------------------

    def apply(self, settings: "Settings", stamp_ms: int) -> None:
        """Other settings are in force: a TTL counts for what comes, limits, queue expiry and a pause count at once;
        after a pause consumers get something from the next `pump` on.

        `max_priority` and `single_active_consumer` are for life.
        """
        self._ttl_ms = settings.message_ttl_ms
        if settings.expires_ms != self.settings.expires_ms:
            self.unused = QueueExpiry(settings.expires_ms)
        self.settings = settings
        self.consumers.pause(settings.paused)
        self._limit(settings)
        self.tick(stamp_ms)
        if self._limited:
            self._shed()

    def used(self) -> None:
        """The queue was declared again: `x-expires` starts anew."""
        self.unused.used()

    def tell_time(self, stamp_ms: int) -> None:
        """It is so late now, for what is asked next: nobody gets what is too old, also if nothing was due to `tick`."""
        self._stamp_ms = stamp_ms

    @property
    def heeds_time(self) -> bool:
        """Whether anything here depends on how late it is: with most queues nothing does."""
        return self._expiry.may_expire or self.unused.expires_ms is not None or bool(self._departures.kept)

    def tick(self, stamp_ms: int) -> None:
        """Let expire what is due."""
        self._stamp_ms = stamp_ms
        self._expire()
        self._departures.send_kept(stamp_ms, self.settings)
        if not self.consumers and self.unused.tick(stamp_ms):
            self.expired = True

    def deadline_ms(self) -> int | None:
        """Wall time at which `tick` should be called; 0 is at once, None never as things stand."""
        if not self.heeds_time:
            return None
        dues = [self._expiry.next_due_ms(self._ready.lines()), self._departures.kept_until_ms]
        if not self.consumers and not self.expired:
            dues.append(self.unused.due_ms())
        return min((due for due in dues if due is not None), default=None)

    # -- outboxes and looks ------------------------------------------------------------------------------------------

    @property
    def has_returned(self) -> bool:
        """Whether `take_returned` has anything to tell."""
        return bool(self._returns.counts)

    def take_returned(self) -> list[tuple[int, int, int]]:
        """(first, last, times) of messages that were given back since the last call, if this queue counts that."""
        return self._returns.take()

    def statistics(self) -> dict[str, int]:
        """Everything that can be counted."""
        ready_bytes, unacked_bytes = self._ready.size_bytes, self._unacked.size_bytes
        return {
            "messages": self.messages_ready + self.messages_unacked,
            "messages_ready": self.messages_ready,
            "messages_unacked": self.messages_unacked,
            "messages_dying": len(self._departures.dying),
            "messages_paged_out": self.paged_messages,
            "message_bytes": ready_bytes + unacked_bytes,
            "message_bytes_ready": ready_bytes,
            "message_bytes_unacked": unacked_bytes,
            "consumers": len(self.consumers),
            **self.counters.as_dict(),
        }

    # -- inside ------------------------------------------------------------------------------------------------------

    def _enter(self, run: "Run") -> None:
        """Give the run its place, and to a consumer at once if nobody stands before it."""
        count = run.count
        run.first = self.next_position
        self.next_position += count
        self.counters.published += count
        ready, served = self._ready, bool(self.consumers.members)
        if served and ready.may_pass(run):
            turn = self.consumers.next()
            if turn is not None and turn[1] >= count and (count == 1 or self.consumers.width == 1):
                self.consumers.served()
                self._give(turn[0], run, count)
                return
        self._expiry.entered(run)
        ready.add(run)
        if served:
            self._serve(fresh=True)
        if self._expiry.may_expire:
            self._expire()  # not before: a TTL of 0 leaves the chance to be delivered at once

    def _publish_what_fits(self, run: "Run") -> "list[tuple[int, int]]":
        """Take in what the limits allow at each message's turn; the rest is refused and may become dead letters."""
        size = run.count
        dying = self._departures.dying if self.settings.dead_letters_must_arrive else None
        refused: list[tuple[int, int]] = []
        first = self.next_position
        done = 0
        while done < size:
            fitting = self._limits.fitting(self._ready, run, done, dying)
            if fitting:
                self._enter(run if fitting == size else run.cut(done, done + fitting))
                done += fitting
                continue
            stop = done + self._limits.unfit(self._ready, run, done, dying)
            refused.append((done, stop))
            if self.settings.overflow == "reject-publish-dlx":
                dead = run.cut(done, stop)
                dead.first = 0
                self._departures.mourn(dead, "maxlen", self.settings)
            done = stop
        run.first = first
        return refused

    def _serve(self, *, fresh: bool = False) -> None:
        """Give out what is ready while somebody has room: in turns, in equal shares if it is much."""
        ready, consumers = self._ready, self.consumers
        if not consumers.members or not len(ready):
            return
        share = shares_left = 0
        while at_hand := ready.at_hand():
            turn = consumers.next()
            if turn is None:
                return
            consumer, room = turn
            if not shares_left:
                share, shares_left = consumers.share(at_hand), consumers.width
            shares_left -= 1
            run = ready.take(min(share, room))
            if run is None:
                return
            if not fresh:
                self._expire()  # what has come to the head may be too old
            consumers.served()
            self._give(consumer, run, run.count)

    def _give(self, consumer: Consumer, run: "Run", count: int) -> None:
        if run.redelivered:
            self.counters.redelivered += count
        if consumer.ack_required:
            self.counters.delivered += count
            self._unacked.give(consumer, run)
        else:
            self.counters.delivered_no_ack += count
            self._departures.settle(run.first, run.last)
        consumer.deliver(run)

    def _return(self, pieces: "list[Piece]") -> None:
        if self.settings.counts_returns:
            pieces, worn = self._returns.count(pieces, self.settings.delivery_limit)
            for piece in worn:
                self._departures.bury(piece, "delivery_limit", self.settings)
        for piece in pieces:
            piece.redelivered = True
        self._put_back(pieces)

    def _put_back(self, pieces: "list[Piece]") -> None:
        if not pieces:
            return
        self._ready.put_back(pieces)
        self._expiry.watch(pieces)
        self._expire()
        if self._limited:
            self._shed()
        self._serve()

    def _expire(self) -> None:
        """Bury what is due at the head of each level."""
        if self._expiry.may_expire:
            for piece in self._expiry.take_due(self._ready.lines(), self._stamp_ms):
                self.counters.expired += piece.count
                self._departures.bury(piece, self._expiry.reason, self.settings)

    def _shed(self) -> None:
        """Bury from the head what is too much, once it is known which of that only was too old."""
        before = self.counters.dropped
        while (excess := self._limits.excess(self._ready)) and not self._expiry.is_unsure(self._ready.lines()):
            piece = self._ready.drop_head(excess)
            self.counters.dropped += piece.count
            self._departures.bury(piece, "maxlen", self.settings)
            self._expire()  # what has come to the head may be too old
        if self.counters.dropped > before:
            self._serve()  # what was not at hand may have stood before what is

    def _limit(self, settings: "Settings") -> None:
        self._limits = Limits(settings.max_length, settings.max_length_bytes)
        limited = settings.max_length is not None or settings.max_length_bytes is not None
        self._refusing = limited and settings.overflow != "drop-head"
        self._limited = limited and settings.overflow == "drop-head"
