"""Any queue under any operations, against a naive list of messages.

What is judged after each step: nothing lost, order kept, original places after a requeue, flags, counters, the exact
ranges that settled, the dead letters in order, nothing delivered beyond the mark, nobody idle beside open messages.

The queue forgets contents at any moment, and what it wants is loaded in parts, with runs of any length: at once, so
that nothing may be seen of it, or (where nothing expires) at any later moment, so that nobody but the idle may see it.
What was loaded long ago comes, too.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.queues.page import Page, Piece
from broker.queues.settings import Overflow, Settings
from broker.wire.message import Run, Traits
from tests.queues.fakes import FakeConsumer, positions, run_of
from tests.queues.model import SIZE, LoggingConsumer, Message, Model


class QueueAgainstAList(Model, RuleBasedStateMachine):
    consumers = Bundle("consumers")

    @initialize(
        ttl=st.sampled_from([None, None, 0, 10]),
        length=st.sampled_from([None, None, 0, 5]),
        overflow=st.sampled_from(["drop-head", "reject-publish", "reject-publish-dlx"]),
        dead_letter_exchange=st.sampled_from([None, "dlx"]),
        max_priority=st.sampled_from([None, None, 2]),
        single=st.booleans(),
        in_bytes=st.booleans(),
        delivery_limit=st.sampled_from([None, None, 1]),
        late=st.booleans(),
        window_bytes=st.sampled_from([None, 1, 1, 800, 1500]),
        backlog=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), max_size=12),
    )
    def begin(
        self,
        ttl: int | None,
        length: int | None,
        overflow: Overflow,
        dead_letter_exchange: str | None,
        max_priority: int | None,
        single: bool,
        in_bytes: bool,
        delivery_limit: int | None,
        late: bool,
        window_bytes: int | None,
        backlog: list[tuple[int, int]],
    ) -> None:
        everything = max_priority is not None and length is not None and overflow == "drop-head"
        self.pages = not everything or window_bytes is not None
        self.timeless = late or (everything and self.pages)  # else one level's limit waits for the time of another
        if self.timeless:
            ttl = None
        settings = Settings(
            message_ttl_ms=ttl,
            max_length=None if in_bytes else length,
            max_length_bytes=length * SIZE if in_bytes and length is not None else None,
            overflow=overflow,
            dead_letter_exchange=dead_letter_exchange,
            max_priority=max_priority,
            single_active_consumer=single,
            counts_returns=delivery_limit is not None,
            delivery_limit=delivery_limit,
        )
        self.start(settings, length, late=late, window_bytes=window_bytes)
        for count, priority in backlog:
            self.publish(count, priority, None)

    @rule(window_bytes=st.sampled_from([1, 300, 600, 1500, 3000]))
    def page_out(self, window_bytes: int) -> None:
        if self.pages:
            self.forget(window_bytes)
        self.turn_ends()

    @rule(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=3))
    def start_a_load(self, lengths: list[int]) -> None:
        wanted = self.queue.wanted()
        if wanted is not None:
            self.loads.append(self.read(*wanted, lengths))

    @rule(first=st.integers(1, 40), width=st.integers(0, 20), lengths=st.lists(st.integers(1, 5), min_size=1))
    def start_another_load(self, first: int, width: int, lengths: list[int]) -> None:
        self.loads.append(self.read(first, first + width, lengths))

    @precondition(lambda self: self.loads)
    @rule(data=st.data(), drops=st.sets(st.integers(0, 5)))
    def a_load_arrives(self, data: st.DataObject, drops: set[int]) -> None:
        runs = self.loads.pop(data.draw(st.integers(0, len(self.loads) - 1)))
        self.came_in([run for index, run in enumerate(runs) if index not in drops])
        self.turn_ends()

    # -- what may happen ---------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 8), priority=st.integers(0, 3), expiration=st.sampled_from([None, None, 0, 5, 20]))
    def publish(self, count: int, priority: int, expiration: int | None) -> None:
        if self.timeless:
            expiration = None
        run = run_of(count, size=SIZE, salt=self.next, traits=Traits(priority=priority, expiration_ms=expiration))
        first = self.next
        refused = list(self.queue.publish(run, self.now))
        ttls = [ttl for ttl in (self.settings.message_ttl_ms, expiration) if ttl is not None]
        due = self.now + min(ttls) if ttls else None
        level = min(priority, self.levels - 1)
        refusing = self.settings.overflow != "drop-head" and self.length is not None
        self.expire()
        for index in range(count):
            if refusing and len(self.ready) >= self.length:
                assert refused == [(index, count)]
                if self.settings.overflow == "reject-publish-dlx" and self.settings.dead_letter_exchange:
                    self.dead += [("maxlen", 0)] * (count - index)
                    self.counts["dead_lettered"] += count - index
                break
            self.ready = sorted([*self.ready, Message((-level, self.next), run.contents[index], due)])
            self.next += 1
            self.serve(fresh=True)
            self.expire()
        else:
            assert not refused
        self.shed()
        self.serve()
        assert not self.log
        accepted = count - sum(stop - start for start, stop in refused)
        assert (run.first, run.stamp_ms) == (self.next - accepted, self.now)
        self.counts["published"] += accepted
        for index in range(accepted):
            self.store[first + index] = Run(
                [run.contents[index]], run.address, run.traits, first=first + index, stamp_ms=self.now
            )
        self.turn_ends()

    @rule(
        target=consumers,
        window=st.sampled_from([0, 1, 3, 100]),
        ack_required=st.booleans(),
        priority=st.sampled_from([0, 0, 1]),
    )
    def consume(self, window: int, ack_required: bool, priority: int) -> FakeConsumer:
        consumer = LoggingConsumer(window=window, ack_required=ack_required, priority=priority)
        consumer.log = self.log
        self.queue.consume(consumer)
        self.queue.pump(consumer)
        self.active.append(consumer)
        self.expire()
        self.serve()
        self.turn_ends()
        return consumer

    @rule(consumer=consumers, more=st.integers(1, 10))
    def make_room(self, consumer: FakeConsumer, more: int) -> None:
        consumer.window += more
        self.queue.pump(consumer)
        self.expire()
        self.serve()
        self.turn_ends()

    @rule(consumer=consumers)
    def cancel(self, consumer: FakeConsumer) -> None:
        was_there = consumer in self.active
        self.queue.cancel(consumer)
        if was_there:
            self.active.remove(consumer)
            self.expire()
            self.serve()
            self.turn_ends()

    @rule(consumer=consumers, start=st.integers(0, 5), width=st.integers(0, 12), room=st.booleans())
    def acknowledge(self, consumer: FakeConsumer, start: int, width: int, room: bool) -> None:
        first, last, chosen = self.some_of(consumer, start, width)
        assert self.queue.settle(consumer, first, last) == len(chosen)
        self.settled |= {message.position for message in chosen}
        self.counts["acked"] += len(chosen)
        if room and chosen:
            self.make_room(consumer, len(chosen))

    @rule(consumer=consumers, start=st.integers(0, 5), width=st.integers(0, 12))
    def requeue(self, consumer: FakeConsumer, start: int, width: int) -> None:
        first, last, chosen = self.some_of(consumer, start, width)
        self.queue.requeue(consumer, first, last)
        if chosen:
            self.come_back(chosen)
        self.turn_ends()

    @rule(consumer=consumers, start=st.integers(0, 5), width=st.integers(0, 12))
    def reject(self, consumer: FakeConsumer, start: int, width: int) -> None:
        first, last, chosen = self.some_of(consumer, start, width)
        self.queue.reject(consumer, first, last)
        for message in chosen:
            self.die(message, "rejected")

    @rule(consumer=consumers)
    def release(self, consumer: FakeConsumer) -> None:
        self.queue.release(consumer)
        held = self.unacked.pop(consumer, [])
        if held:
            self.come_back(held)
        self.turn_ends()

    @rule(ack_required=st.booleans())
    def get(self, ack_required: bool) -> None:
        self.expire()
        run = self.queue.get("getter", ack_required)
        if run is None and self.is_open():
            assert self.queue.want_head()
            assert self.queue.wanted() is not None
            if self.late:
                return
            self.turn_ends()
            run = self.queue.get("getter", ack_required)
        assert (run is not None) == self.is_open()
        if run is not None:
            message = self.ready.pop(0)
            assert (run.first, run.last, run.redelivered) == (message.position, message.position, message.redelivered)
            assert run.contents == [message.content]
            assert run.returned == message.returned
            self.counts["redelivered"] += message.redelivered
            self.counts["got" if ack_required else "got_no_ack"] += 1
            if ack_required:
                self.unacked.setdefault("getter", []).append(message)
            else:
                self.settled.add(message.position)
        self.turn_ends()

    @rule()
    def give_back_what_was_got(self) -> None:
        self.queue.release("getter")
        held = self.unacked.pop("getter", [])
        if held:
            self.come_back(held)
        self.turn_ends()

    @rule()
    def purge(self) -> None:
        assert self.queue.purge() == len(self.ready)
        self.settled |= {message.position for message in self.ready}
        self.ready.clear()

    @rule(level=st.integers(0, 2), ahead=st.one_of(st.none(), st.integers(-3, 5)))
    def mark(self, level: int, ahead: int | None) -> None:
        if ahead is None:
            self.queue.open_upto = None
            self.marks = [None] * self.levels
        else:
            level %= self.levels
            self.queue.open_level(level, self.next + ahead)
            self.marks[level] = self.next + ahead
        self.queue.pump()
        self.expire()
        self.serve()
        self.turn_ends()

    @rule(passed=st.integers(1, 15))
    def tick(self, passed: int) -> None:
        self.now += passed
        self.queue.tick(self.now)
        self.expire()
        self.turn_ends()
        dues = [m.due for m in self.heads() if m.due is not None]
        if self.queue.deadline_ms() is not None or dues:
            assert self.queue.deadline_ms() == min(dues, default=None)

    @precondition(lambda self: self.dying)
    @rule(data=st.data())
    def letters_arrived(self, data: st.DataObject) -> None:
        first = data.draw(st.sampled_from(sorted(self.dying)))
        self.queue.settle_dead(first, first + 3)
        safe = {position for position in self.dying if first <= position <= first + 3}
        self.dying -= safe
        self.settled |= safe

    # -- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "queue"):
            return
        queue = self.queue
        held = [message.position for messages in self.unacked.values() for message in messages]
        assert queue.messages_ready == len(self.ready)
        assert queue.messages_unacked == len(held)
        assert queue.message_bytes == SIZE * (len(self.ready) + len(held))
        ready, unacked, ready_bytes, unacked_bytes, paged, _ = queue.amounts()
        assert (ready, unacked, paged) == (len(self.ready), len(held), queue.paged_messages)
        assert (ready_bytes, unacked_bytes) == (SIZE * ready, SIZE * unacked)
        assert queue.next_position == self.next
        alive = sorted([message.position for message in self.ready] + held + list(self.dying))
        assert [p for run in queue.living() for p in range(run.first, run.last + 1)] == alive
        assert [p for a, b in queue.living_ranges() for p in range(a, b + 1)] == alive
        taken = [p for a, b in queue.take_settled() for p in range(a, b + 1)]
        assert sorted(taken) == sorted(self.settled)
        for position in taken:
            del self.store[position]
        self.settled.clear()
        dead = []
        for letter in queue.take_dead():
            piece: Piece = letter.piece
            dead += [(letter.reason, piece.first and position) for position in positions([piece])]
            if letter.page is not None:
                letters = letter.loaded(self.read(piece.first - 2, piece.last + 2, [3]))
                assert positions([part.run for part in letters]) == positions([piece])
        assert sorted(dead) == sorted(self.dead)
        assert [p for reason, p in dead if reason == "rejected"] == [p for r, p in self.dead if r == "rejected"]
        self.dead.clear()
        assert queue.counters.as_dict() == self.counts
        returned = [(p, times) for a, b, times in queue.take_returned() for p in range(a, b + 1)]
        assert sorted(returned) == sorted(self.returns)
        self.returns.clear()
        self.memory_is_counted()

    @invariant()
    def nobody_idles_beside_open_messages(self) -> None:
        if not hasattr(self, "queue"):
            return
        eligible = [self.queue.consumers.active] if self.settings.single_active_consumer else self.active
        room = any(consumer is not None and consumer.window > 0 for consumer in eligible)
        if room and self.is_open():
            assert self.late
            assert isinstance(self.queue.front(), Page)
            assert self.queue.wanted() is not None
            assert self.queue.wants_contents()
        assert self.queue.wants_open() == (room and bool(self.ready) and not self.is_open())
        assert len(self.queue.consumers) == len(self.active)


TestQueueAgainstAList = QueueAgainstAList.TestCase
TestQueueAgainstAList.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
