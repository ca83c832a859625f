"""The two ends of a load: a publisher that keeps pace, window and count, and a consumer that counts and acknowledges.

Decides when how many messages go out and what is told to the meter. It must not know how queues were made or what the
figures are for.
"""

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from broker.perf.blocks import CHANNEL
from broker.perf.client import Client, Closed
from broker.perf.confirms import Confirms
from broker.perf.meter import Meter
from broker.wire.basic_methods import BasicAck, BasicConsume, BasicNack, BasicQos, ConfirmSelect
from broker.wire.events import Acks, Content
from broker.wire.methods import ChannelClose, ChannelCloseOk, ConnectionBlocked

RECEIVE_BYTES = 262144
ANSWERS_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Pace:
    """How a publisher publishes: at most `rate` a second (0 = as fast as it can), at most `window` without a confirm
    (0 = no confirms), for `seconds` or, if not 0, `count` messages."""

    rate: float = 0.0
    window: int = 0
    seconds: float = math.inf
    count: int = 0

    def room(self, sent: int, answered: int, elapsed_s: float) -> float:
        """How many messages may go out now."""
        room = math.inf
        if self.count:
            room = self.count - sent
        if self.window:
            free = self.window - (sent - answered)
            # Small change is not worth a system call: it waits until a quarter of the window is free.
            room = min(room, free) if free >= min(room, self.window / 4) else 0
        if self.rate:
            room = min(room, int(elapsed_s * self.rate) + 1 - sent)
        return max(0, room)

    def is_over(self, sent: int, elapsed_s: float) -> bool:
        """Whether the publisher has done its work."""
        return sent >= self.count if self.count else elapsed_s >= self.seconds


class Messages(Protocol):
    """What is to be published, as bytes: a `Block`, say."""

    count: int
    """How many can be taken at once."""

    def take(self, most: int, stamp: int) -> tuple[memoryview, int]:
        """At most that many, and how many; good until the next call."""


class Counting(Protocol):
    """What becomes of received bytes: a `Tally`, say."""

    count: int
    """Deliveries so far."""

    def feed(self, data: bytes) -> list[int]:
        """Count them; the stamps of some. Raises Interrupted if something else comes."""


class Publisher:
    """One connection that publishes blocks."""

    def __init__(self, client: Client, block: Messages, pace: Pace, meter: Meter) -> None:
        self._client = client
        self._block = block
        self._pace = pace
        self._meter = meter
        self._confirms = Confirms()
        self._answered = trio.Event()
        # (last tag, when it was sent) of what waits for its confirm.
        self._marks: deque[tuple[int, int]] = deque()
        self._sent = 0

    async def prepare(self) -> None:
        """Choose confirms if there is a window."""
        if self._pace.window:
            await self._client.call(ConfirmSelect(), CHANNEL)

    async def run(self) -> None:
        """Publish, wait for what is owed, close the channel. Raises Closed if the broker ends it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            await self._publish()
            if self._pace.window:
                with trio.move_on_after(ANSWERS_TIMEOUT_S):
                    while self._confirms.answered < self._sent:
                        await self._wait_for_answer()
            # The answer comes behind all that was published: then, not before, the broker has read it.
            await self._client.send(ChannelClose(reply_code=200, reply_text="done").frame(CHANNEL))

    async def _publish(self) -> None:
        pace, block, published = self._pace, self._block, self._meter.published
        began = time.monotonic_ns()
        while True:
            now = time.monotonic_ns()
            elapsed_s = (now - began) / 1e9
            if pace.is_over(self._sent, elapsed_s):
                return
            room = pace.room(self._sent, self._confirms.answered, elapsed_s)
            if not room:
                await self._wait_for_room(elapsed_s)
                continue
            data, count = block.take(block.count if room > block.count else int(room), now)
            self._sent += count
            if pace.window:
                self._marks.append((self._sent, now))
            await self._client.send(data)
            published.add(count, time.monotonic_ns())

    async def _wait_for_room(self, elapsed_s: float) -> None:
        pace = self._pace
        if pace.window and self._sent - self._confirms.answered > pace.window * 3 / 4:
            with trio.move_on_after(pace.seconds - elapsed_s if not pace.count else math.inf):
                await self._wait_for_answer()
        else:
            await trio.sleep(max(0.0005, self._sent / pace.rate - elapsed_s))

    async def _wait_for_answer(self) -> None:
        self._answered = trio.Event()
        await self._answered.wait()

    async def _listen(self) -> None:
        while not await self._take_answers():
            pass

    async def _take_answers(self) -> bool:
        """Read once; whether the channel is closed, as this publisher asked."""
        for _, event in await self._client.receive():
            match event:
                case Acks():
                    self._note(event.first_tag, event.last_tag, multiple=event.multiple, refused=False)
                case BasicNack():
                    self._note(event.delivery_tag, event.delivery_tag, multiple=event.multiple, refused=True)
                case Content():
                    self._meter.returned += 1
                case ConnectionBlocked():
                    self._meter.blocked = True
                case ChannelCloseOk():
                    self._meter.published.add(0, time.monotonic_ns())
                    return True
        self._answered.set()
        return False

    def _note(self, first: int, last: int, *, multiple: bool, refused: bool) -> None:
        now = time.monotonic_ns()
        count = sum(stop - start + 1 for start, stop in self._confirms.answer(first, last, multiple=multiple))
        if refused:
            self._meter.refused += count
        else:
            self._meter.confirmed.add(count, now)
        upto, samples = self._confirms.upto, []
        while self._marks and self._marks[0][0] <= upto:
            samples.append(now - self._marks.popleft()[1])
        self._meter.confirm_latency.add(samples)


class Consumer:
    """One connection that consumes from one or more queues; acknowledges every `ack_every`, 0 = automatic."""

    def __init__(self, client: Client, queues: Sequence[str], meter: Meter, tally: Counting, *, ack_every: int) -> None:
        self._client = client
        self._queues = queues
        self._meter = meter
        self._ack_every = ack_every
        self._tally = tally
        self._acked = 0

    async def prepare(self, prefetch: int) -> None:
        """Start consuming. No-wait: from here on nothing comes but deliveries, from their first byte on."""
        if prefetch:
            await self._client.call(BasicQos(prefetch_count=prefetch), CHANNEL)
        for number, queue in enumerate(self._queues):
            consume = BasicConsume(queue=queue, consumer_tag=f"c{number:04}", no_ack=not self._ack_every, nowait=True)
            await self._client.send(consume.frame(CHANNEL))

    async def run(self) -> None:
        """Count until cancelled. Raises Closed or Interrupted if the broker ends it."""
        receive, feed, meter = self._client.stream.receive_some, self._tally.feed, self._meter
        while True:
            data = await receive(RECEIVE_BYTES)
            if not data:
                raise Closed("the broker closed the connection of a consumer")
            before = self._tally.count
            stamps = feed(data)
            now = time.monotonic_ns()
            if self._tally.count > before:
                meter.delivered.add(self._tally.count - before, now)
                meter.latency.add(now - stamp for stamp in stamps if stamp)
            if self._ack_every and self._tally.count - self._acked >= self._ack_every:
                await self._acknowledge()

    async def finish(self) -> None:
        """Acknowledge what is left."""
        if self._ack_every and self._tally.count > self._acked:
            await self._acknowledge()

    async def _acknowledge(self) -> None:
        self._acked = self._tally.count
        await self._client.send(BasicAck(delivery_tag=self._acked, multiple=True).frame(CHANNEL))
