"""A node with very little memory serves its clients exactly as one that keeps everything there."""

from random import Random

import pytest
import trio

from broker.queues import page
from broker.queues.consumers import Consumer
from broker.vhosts import dispatch, paging
from broker.wire import queue_frames as frames
from broker.wire.content import body_of, make_content
from broker.wire.message import Run, make_address
from broker.wire.properties import Properties, traits_of_properties
from tests.simulation.disk import SimDisk
from tests.vhosts.halls import VirtualClock
from tests.vhosts.room import open_hall

SIZES = (5, 30, 100)
SEEDS = (0, 2, 4, 7, 9, 11)
"""One of each kind."""
STEPS = 60


@pytest.fixture(autouse=True)
def little_memory(monkeypatch):
    monkeypatch.setattr(paging, "WINDOW_BYTES_MAX", 2000)
    monkeypatch.setattr(paging, "WINDOW_BYTES_MIN", 1000)
    monkeypatch.setattr(page, "PAGE_MESSAGES_MAX", 8)
    monkeypatch.setattr(page, "PAGE_BYTES_MAX", 500)
    monkeypatch.setattr(dispatch, "UNDER_WAY_MAX", 20)


def content(body, **properties):
    return make_content(1, Properties(**properties), body, 131072)


class Taker(Consumer):
    """Takes up to `prefetch` messages without an answer, and remembers them."""

    def __init__(self, prefetch, *, ack_required):
        self.tag = "taker"
        self.ack_required = ack_required
        self.exclusive = False
        self.priority = 0
        self.arguments = {}
        self.prefetch = prefetch
        self.held = []
        self.log = []

    def room(self):
        return self.prefetch - len(self.held)

    def deliver(self, run):
        self.log += [(body_of(each), run.redelivered, run.returned) for each in run.contents]
        if self.ack_required:
            self.held += range(run.first, run.last + 1)


class Player:
    """Does the same to the queue `q` of one hall, whatever hall that is."""

    def __init__(self, hall, seed):
        self.hall = hall
        self.local = hall.catalogue.vhosts["/"].handles["q"].local
        self.chance = Random(seed)
        self.taker = None
        self.log = []
        self.number = 0
        self.size = SIZES[2] if seed % 4 < 2 else None

    def step(self):
        others = [self.consume, self.requeue, self.reject, self.get, self.leave, self.purge, self.age]
        self.chance.choice([*[self.publish] * 4, *[self.ack] * 2, *others])()

    def publish(self):
        chance = self.chance
        count = chance.choice((1, 1, 5, 40))
        properties = Properties(
            delivery_mode=chance.choice((1, 2)),
            priority=chance.choice((None, 0, 1, 2)),
            expiration=chance.choice(("60000", *[None] * 6)),
        )
        encoded = properties.encode()
        size = self.size or chance.choice(SIZES)
        contents = [make_content(1, properties, b"%0*d" % (size, self.number + each), 131072) for each in range(count)]
        self.number += count
        self.local.publish(Run(contents, make_address("", "q"), traits_of_properties(encoded)), None)

    def consume(self):
        if self.taker is None:
            self.taker = Taker(self.chance.choice((1, 7, 100_000)), ack_required=self.chance.random() < 0.8)
            self.local.consume(self.taker)
            self.local.wake(self.taker)

    def _answer(self, what):
        held = [] if self.taker is None else self.taker.held
        if held:
            start = self.chance.randrange(len(held))
            picked = held[start : start + self.chance.choice((1, 5, 50))]
            picked = picked[: next((i for i in range(1, len(picked)) if picked[i] != picked[i - 1] + 1), len(picked))]
            del held[start : start + len(picked)]
            self.local.settle(self.taker, what, picked[0], picked[-1])

    def ack(self):
        self._answer(frames.ACKNOWLEDGE)

    def requeue(self):
        self._answer(frames.REQUEUE)

    def reject(self):
        self._answer(frames.REJECT)

    def leave(self):
        if self.taker is not None:
            self.log.append(("left", self.taker.log))
            self.local.part_with(self.taker)
            self.taker = None

    def purge(self):
        if self.chance.random() < 0.3:
            self.log.append(("purged", self.local.queue.purge()))
            self.local.switchboard.touch(self.local)

    def get(self):
        self.getting = True

    def age(self):
        self.aging = True

    getting = aging = False

    async def settle_down(self):
        """What takes time, until nothing moves any more."""
        if self.getting:
            self.getting = False
            got = await self.hall.catalogue.vhosts["/"].handles["q"].get(None, 0)
            self.log.append(("got", None if got is None else [body_of(each) for each in got.run.contents]))
        await trio.sleep(40.8 if self.aging else 0.5)
        self.aging = False
        counts = self.local.queue.statistics()
        self.log.append([counts[name] for name in ("messages_ready", "messages_unacked", "messages_dying")])
        # a page that was cut shares out its bytes evenly: that is exact where all bodies are equally long
        count, size_bytes = counts["messages"], counts["message_bytes"]
        self.log.append(size_bytes if self.size else min(SIZES) * count <= size_bytes <= max(SIZES) * count)

    async def drain(self):
        self.leave()
        await self.settle_down()
        for name in ("q", "dead"):
            local = self.hall.catalogue.vhosts["/"].handles[name].local
            taker = Taker(1 << 30, ack_required=False)
            local.consume(taker)
            local.wake(taker)
            await trio.sleep(5)
            self.log.append((name, taker.log if name == "q" else sorted(taker.log)))


KINDS = (
    {},
    {"x-max-priority": 3},
    {"x-max-length": 60},
    {"x-max-length": 50, "x-overflow": "reject-publish"},
    {"x-message-ttl": 90_000},
    {"x-max-length-bytes": 3000},
)


async def story(seed, disk):
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", **KINDS[seed % len(KINDS)]}
    if seed // len(KINDS) % 3 == 1:
        arguments = {key: value for key, value in arguments.items() if not key.startswith("x-dead")}
    paged = 0
    async with open_hall(VirtualClock(), disk, segment_bytes=3000) as hall:
        await hall.declarations.declare_plain("/", "dead")
        facts = {"vhost": "/", "name": "q", "node": "n1", "life": 1, "arguments": arguments, "durable": seed % 2 == 0}
        await hall.tree.propose({"do": "declare_queue", **facts})
        player = Player(hall, seed)
        for _ in range(STEPS):
            player.step()
            await player.settle_down()
            paged = max(paged, player.local.queue.paged_messages)
        await player.drain()
        await trio.sleep(5)
        return player.log, paged, hall.switchboard.journal


async def compare(seed):
    everything, none_paged, _ = await story(seed, None)
    little, paged, journal = await story(seed, SimDisk(Random(seed)))
    assert not none_paged
    assert little == everything
    return paged, journal


@pytest.mark.parametrize("seed", SEEDS)
async def test_nobody_sees_that_messages_are_on_disk(seed, autojump_clock):
    paged, journal = await compare(seed)
    assert paged, "nothing was ever paged out"
    assert journal.statistics()["living_messages"] == 0


async def test_who_asks_for_a_message_gets_it_however_many_letters_are_under_way(autojump_clock):
    async with open_hall(VirtualClock(), SimDisk(Random(1))) as hall:
        facts = {"vhost": "/", "name": "q", "node": "n1", "life": 1, "durable": True, "arguments": {}}
        await hall.tree.propose({"do": "declare_queue", **facts})
        player = Player(hall, 0)
        for _ in range(20):
            player.publish()
        await player.settle_down()
        queue = player.local.queue
        while queue.head() is not None:
            player.get()
            await player.settle_down()
        assert queue.messages_ready
        player.local.pager.letters._under_way = dispatch.UNDER_WAY_MAX + 1
        player.get()
        await player.settle_down()
        assert player.log[-3][1] is not None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 60))
async def test_nor_with_more_seeds(seed, autojump_clock):
    _, journal = await compare(seed)
    assert journal.statistics()["living_messages"] == 0
