"""What the masters of one node count, looked at now and then: sums for each virtual host, and what they were before.

Decides what of a queue is looked at, and how much is remembered of all of them together. A queue that has had no turn
since costs a comparison. It must not know who asks, nor when it is time to look.
"""

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping
from operator import add, sub
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

from broker.management.history import BASIC, GLOBAL, Grain, History, Values
from broker.vhosts.intake import FOR_HISTORY

if TYPE_CHECKING:
    from broker.vhosts.local import Local

K = TypeVar("K", bound=Hashable)

QUEUE_FIGURES = (
    "messages_ready",
    "messages_unacknowledged",
    "consumers",
    "publish",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "ack",
    "redeliver",
)
GAUGES = 3
"""So many of them, the first, come and go; the others only grow."""
STEP_QUEUES = 500
"""What takes about 1 ms."""
SAMPLES_MAX = 100_000
"""Of all objects of a kind together, about 16 MB; with more, less far back is remembered of each."""
SAMPLE_BYTES = 130
"""Beside the figures themselves."""
TIDY_EVERY = 12
SAMPLES_LEAST = 2
"""What a rate needs."""

Sums = dict[str, list[int]]
"""By virtual host."""


def figures_of(local: "Local") -> tuple[int, ...]:
    """What a queue counts, in the order of QUEUE_FIGURES."""
    queue = local.queue
    counters = queue.counters
    return (
        queue.messages_ready,
        queue.messages_unacked,
        len(queue.consumers),
        counters.published,
        counters.delivered,
        counters.delivered_no_ack,
        counters.got,
        counters.got_no_ack,
        counters.acked,
        counters.redelivered,
    )


class Shelf(Generic[K]):
    """The histories of many objects of one kind."""

    def __init__(self, width: int, grains: tuple[Grain, ...], samples_max: int = SAMPLES_MAX) -> None:
        self.histories: dict[K, History] = {}
        self._width = width
        self._grains = grains
        self._samples_max = samples_max
        self._samples = 0
        """Of those that were tidied since all were."""
        self._last_samples = 0
        """When all were tidied."""
        self._turn = 0

    def note(self, key: K, now_ms: int, values: Values) -> None:
        """An object was looked at."""
        history = self.histories.get(key)
        if history is None:
            history = self.histories[key] = History(self._width, self._grains)
        if history.newest != tuple(values):
            history.note(now_ms, values)

    @property
    def memory_bytes(self) -> int:
        """What the samples take, about."""
        return self._last_samples * (SAMPLE_BYTES + 8 * self._width)

    def keep(self, keys: Container[K]) -> None:
        """Everything else is gone."""
        for key in [key for key in self.histories if key not in keys]:
            del self.histories[key]

    def tidy(self, now_ms: int) -> Iterator[None]:
        """Forget what is too old or too much, in small steps: each time of some objects, of all in TIDY_EVERY times."""
        for number, history in enumerate(list(self.histories.values())[self._turn :: TIDY_EVERY]):
            history.forget(now_ms)
            self._samples += len(history)
            if number % STEP_QUEUES == STEP_QUEUES - 1:
                yield
        self._turn = (self._turn + 1) % TIDY_EVERY
        if self._turn:
            return
        samples, self._samples = self._samples, 0
        self._last_samples = samples
        if samples <= self._samples_max:
            return
        most = max(SAMPLES_LEAST, self._samples_max // (len(self.histories) * len(self._grains)))
        for number, history in enumerate(list(self.histories.values())):
            history.forget(now_ms, most)
            if number % STEP_QUEUES == STEP_QUEUES - 1:
                yield


class Ledger:
    """One per life of a node."""

    def __init__(self, masters: "Callable[[], Mapping[int, Local]]", vhost_of: Callable[[int], str | None]) -> None:
        """`vhost_of`: where the queue of this id is; None if it is one that nobody is to know of."""
        self.queues = Shelf[int](len(QUEUE_FIGURES), BASIC)
        self.vhosts = Shelf[str](len(QUEUE_FIGURES), GLOBAL)
        self._masters = masters
        self._vhost_of = vhost_of
        self._last: dict[int, tuple[Local, str, tuple[int, ...]]] = {}
        self._sums: Sums = {}
        """What was found at the last looks, and what queues counted that are no more here: it only grows, too."""

    def figures(self, queue_id: int, local: "Local") -> tuple[int, ...]:
        """What a queue counts now."""
        if not local.changed & FOR_HISTORY:
            known = self._last.get(queue_id)
            if known is not None and known[0] is local:
                return known[2]
        return figures_of(local)

    async def sums(self) -> Sums:
        """By virtual host what its masters here have now, and have done so far."""
        sums = {vhost: list(values) for vhost, values in self._sums.items()}
        masters = list(self._masters().items())
        for start in range(0, len(masters), STEP_QUEUES):
            await trio.lowlevel.checkpoint()
            for queue_id, local in masters[start : start + STEP_QUEUES]:
                if not local.changed & FOR_HISTORY:
                    continue
                values, known = figures_of(local), self._last.get(queue_id)
                if known is None or known[0] is not local:
                    vhost = self._vhost_of(queue_id)
                    if vhost is not None:
                        _add(sums, vhost, values)
                elif known[2] != values:
                    _add(sums, known[1], map(sub, values, known[2]))
        return sums

    def sweep(self, stamp_ms: Callable[[], int], steps: int) -> Iterator[None]:
        """Look at everything once, in so many steps: each `next` is one. Whoever takes them decides when."""
        masters = list(self._masters().items())
        for step in range(steps):
            now_ms = stamp_ms()
            for queue_id, local in masters[step::steps]:
                if local.changed & FOR_HISTORY:
                    self._look(queue_id, local, now_ms)
            yield
        for queue_id in self._last.keys() - self._masters().keys():
            self._part_with(queue_id)
        now_ms = stamp_ms()
        for vhost, values in self._sums.items():
            self.vhosts.note(vhost, now_ms, values)
        yield from self.queues.tidy(now_ms)

    def forget_vhosts(self, but: Container[str]) -> None:
        """The others are no more."""
        for vhost in [vhost for vhost in self._sums if vhost not in but]:
            del self._sums[vhost]
        self.vhosts.keep(but)

    def _look(self, queue_id: int, local: "Local", now_ms: int) -> None:
        local.changed &= ~FOR_HISTORY
        values, known = figures_of(local), self._last.get(queue_id)
        if known is not None and known[0] is not local:
            self._part_with(queue_id)
            known = None
        if known is None:
            vhost = self._vhost_of(queue_id)
            if vhost is None:
                return
            _add(self._sums, vhost, values)
        elif known[2] == values:
            return
        else:
            vhost = known[1]
            _add(self._sums, vhost, map(sub, values, known[2]))
        self._last[queue_id] = local, vhost, values
        self.queues.note(queue_id, now_ms, values)

    def _part_with(self, queue_id: int) -> None:
        """Its master here has ended: what it did counts, what it has does not."""
        local, vhost, known = self._last.pop(queue_id)
        last = [0] * GAUGES + list(figures_of(local)[GAUGES:])
        _add(self._sums, vhost, map(sub, last, known))
        self.queues.histories.pop(queue_id, None)


def _add(sums: Sums, vhost: str, values: Iterable[int]) -> None:
    before = sums.get(vhost)
    sums[vhost] = list(values) if before is None else list(map(add, before, values))
