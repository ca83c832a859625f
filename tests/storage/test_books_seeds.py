"""The books against the simplest words: random events, and after each of them the log says what the books say."""

from random import Random

import pytest

from broker.storage.books import Books
from broker.wire.records import Drop, Hole, Mark, Origin, Returned, Settle, Term
from tests.storage.writer import Writer, living, publish, tallied


def homes_of(books: Books, queue_id: int) -> list[tuple[int, int, int]]:
    """(position, term, segment) of all that is held."""
    account = books.accounts.get(queue_id)
    held = [] if account is None else account.holdings
    return [(at, kept.term, kept.segment.number) for kept in held for at in range(kept.first, kept.last + 1)]


class Story:
    """Random events that a queue's master or mirror could see, and what has to be alive after them."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.writer = Writer()
        self.term = 1
        self.alive: dict[int, dict[int, int]] = {1: {}, 2: {}, 3: {}}  # queue id -> position -> term
        self.next = dict.fromkeys(self.alive, 1)
        self.terms: dict[int, list[tuple[int, int]]] = {queue_id: [] for queue_id in self.alive}
        self.waiting: list[tuple[int, list[tuple[int, int]]]] = []
        self.taken: dict[int, tuple[int, list[tuple[int, int]]]] = {}  # from origin n1
        self.holes: dict[int, list[tuple[int, int]]] = {}
        self.times: dict[int, dict[int, int]] = {1: {}, 2: {}, 3: {}}  # how often what is alive was given back

    def step(self) -> None:
        queue_id = self.chance.choice(list(self.alive))
        events = [self.publish] * 6 + [self.settle] * 6 + [self.release, self.fill, self.begin_term, self.note_mark]
        events += [self.give_back] * 2 + [self.refuse, self.lack]
        events += [self.roll] * 3 + [self.sweep] * 3 + [self.compact] * 2
        if self.chance.random() < 0.02:
            events = [self.drop]
        self.chance.choice(events)(queue_id)

    def owner(self, queue_id: int, position: int) -> int:
        return max([term for term, first in self.terms[queue_id] if first <= position], default=0)

    def publish(self, queue_id: int) -> None:
        if not self.terms[queue_id]:
            self.begin_term(queue_id)
        self.next[queue_id] += self.chance.choice((0, 0, 0, 2))  # transient messages in between
        first, count = self.next[queue_id], self.chance.randint(1, 5)
        term = self.terms[queue_id][-1][0]
        highest, refused = self.taken.get(queue_id, (0, []))
        if self.chance.random() < 0.5:
            self.taken[queue_id] = (highest + count, refused)
            self.writer.write(publish(queue_id, term, first, count, "n1", highest + 1))
        else:
            self.writer.write(publish(queue_id, term, first, count))
        self.alive[queue_id].update(dict.fromkeys(range(first, first + count), term))
        self.next[queue_id] += count

    def settle(self, queue_id: int) -> None:
        alive = sorted(self.alive[queue_id])
        if not alive:
            return
        chosen = alive[: self.chance.randint(1, 6)] if self.chance.random() < 0.6 else self.chance.sample(alive, 1)
        ranges = [(position, position) for position in chosen]
        self.writer.write(Settle(queue_id, self.terms[queue_id][-1][0], ranges))
        self.waiting.append((queue_id, ranges))
        for position in chosen:
            del self.alive[queue_id][position]
            self.times[queue_id].pop(position, None)
        if self.chance.random() < 0.7:
            self.release(queue_id)

    def give_back(self, queue_id: int) -> None:
        """A consumer gives back a few neighbours: some have been back before, perhaps."""
        alive = self.alive[queue_id]
        if not alive:
            return
        first = self.chance.choice(sorted(alive))
        counts = []
        for position in range(first, first + self.chance.randint(1, 4)):
            if position in alive:
                self.times[queue_id][position] = times = self.times[queue_id].get(position, 0) + 1
                counts.append((position, position, times))
        self.writer.write(Returned(queue_id, self.terms[queue_id][-1][0], counts))

    def release(self, queue_id: int) -> None:
        for waiting_id, ranges in self.waiting:
            self.writer.books.settled(waiting_id, [r for r in ranges if r[0] not in self.alive[waiting_id]])
        self.waiting.clear()

    def fill(self, queue_id: int) -> None:
        """Catch-up sends something below the end, dead here or not."""
        position = self.chance.randint(1, self.next[queue_id])
        term = self.owner(queue_id, position)
        if position < self.next[queue_id] and term:
            self.release(queue_id)
            self.writer.write(publish(queue_id, term, position))
            self.alive[queue_id][position] = term

    def begin_term(self, queue_id: int) -> None:
        self.term += 1
        first = max(self.next[queue_id] - self.chance.choice((0, 0, 1, 4)), 1)
        self.writer.write(Term(queue_id, self.term, first))
        self.terms[queue_id] = [entry for entry in self.terms[queue_id] if entry[1] < first] + [(self.term, first)]
        self.alive[queue_id] = {at: term for at, term in self.alive[queue_id].items() if at < first}
        self.times[queue_id] = {at: times for at, times in self.times[queue_id].items() if at < first}
        self.next[queue_id] = first

    def note_mark(self, queue_id: int) -> None:
        if self.terms[queue_id]:
            self.writer.write(Mark(queue_id, self.terms[queue_id][-1][0], 0, self.next[queue_id] - 1))

    def refuse(self, queue_id: int) -> None:
        if self.terms[queue_id]:
            highest = self.taken.get(queue_id, (0, []))[0] + 1
            self.taken[queue_id] = (highest, [(highest, highest)])
            self.writer.write(Origin(queue_id, self.terms[queue_id][-1][0], "n1", *self.taken[queue_id]))

    def lack(self, queue_id: int) -> None:
        if self.terms[queue_id]:
            self.holes[queue_id] = [(1, 1)] if self.chance.random() < 0.5 else []
            self.writer.write(Hole(queue_id, self.terms[queue_id][-1][0], self.holes[queue_id]))

    def drop(self, queue_id: int) -> None:
        self.writer.write(Drop(queue_id))
        self.alive[queue_id], self.times[queue_id], self.terms[queue_id] = {}, {}, []
        self.taken.pop(queue_id, None)
        self.holes.pop(queue_id, None)
        self.waiting = [entry for entry in self.waiting if entry[0] != queue_id]
        self.next[queue_id] = self.chance.randint(1, self.next[queue_id])

    def roll(self, queue_id: int) -> None:
        self.writer.roll()

    def sweep(self, queue_id: int) -> None:
        self.writer.sweep()

    def compact(self, queue_id: int) -> None:
        closed = [segment for segment in self.writer.books.segments.values() if segment.closed]
        if closed:
            self.writer.compact(self.chance.choice(closed))

    def check(self) -> None:
        books = self.writer.books
        reread, summed_up = self.writer.reread(), self.writer.reread_summaries()
        for name, read in (("live", books), ("reread", reread), ("summed up", summed_up)):
            for queue_id, alive in self.alive.items():
                account = read.accounts.get(queue_id)
                assert living(account) == set(alive), f"{name}, queue {queue_id}"
                assert tallied(account, alive) == self.times[queue_id], f"{name}, queue {queue_id}"
                if account is not None and not account.dropped:
                    assert account.terms == self.terms[queue_id], name
                    assert account.marks == books.accounts[queue_id].marks
                    assert account.next_position > max(alive, default=0)
                    assert account.next_position >= books.accounts[queue_id].next_position
                    assert account.origins.get("n1", (0, [])) == self.taken.get(queue_id, (0, [])), name
                    assert account.holes == self.holes.get(queue_id, []), name
        for queue_id in reread.accounts.keys() | summed_up.accounts.keys():
            assert homes_of(summed_up, queue_id) == homes_of(reread, queue_id)
        for segment in books.segments.values():
            stretches = [s for account in books.accounts.values() for s in account.holdings if s.segment is segment]
            assert segment.living == sum(stretch.last - stretch.first + 1 for stretch in stretches)


@pytest.mark.parametrize("seed", range(20))
def test_reading_what_is_left_gives_what_the_books_say(seed):
    story = Story(seed)
    for _ in range(120):
        story.step()
        story.check()
