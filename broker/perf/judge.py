"""The judge of a drill: what was confirmed must be delivered; it compares sets, and knows when each confirm came.

It decides what counts as lost, duplicated, reordered and as the time of a promotion. It must not know sockets, nodes'
processes or clocks: times are floats of seconds that are handed in, all of one clock.

A *stream* is one channel of one publisher's connection: its messages have dense numbers from 1. A publisher that lost
its connection opens a new stream and repeats nothing, so every message is published once and each repetition is the
cluster's.
"""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable
from typing import Any

SAMPLES_MAX = 20


class Stream:
    """What one publishing channel sent and was answered; number n stands at index n - 1."""

    __slots__ = (
        "awaited",
        "confirmed_at",
        "delivered",
        "identity",
        "node",
        "published_at",
        "queue",
        "refused",
        "unflagged",
    )

    def __init__(self, identity: int, queue: str, node: str) -> None:
        self.identity = identity
        self.queue = queue
        self.node = node
        self.published_at: list[float] = []
        self.confirmed_at: list[float] = []
        self.refused: set[int] = set()
        self.delivered: set[int] = set()
        self.unflagged: set[int] = set()
        # Confirmed, not delivered yet: what the end of a drill waits for. The verdict compares the sets themselves.
        self.awaited: set[int] = set()

    def publish(self, now: float) -> int:
        """The number of the message that is published now."""
        self.published_at.append(now)
        self.confirmed_at.append(math.nan)
        return len(self.published_at)

    def confirm(self, first: int, last: int, now: float) -> None:
        """The broker confirmed these numbers; a number that has its answer keeps it."""
        times = self.confirmed_at
        for index in range(first - 1, min(last, len(times))):
            if times[index] != times[index]:
                times[index] = now
                if index + 1 not in self.delivered:
                    self.awaited.add(index + 1)

    def refuse(self, first: int, last: int) -> None:
        """The broker refused these numbers (basic.nack)."""
        self.refused.update(range(first, last + 1))

    def confirmed(self) -> set[int]:
        """The numbers that the broker confirmed."""
        return {number for number, at in enumerate(self.confirmed_at, 1) if at == at}

    def first_confirm(self, since: float) -> float:
        """When the first confirm came for a message published after `since`; infinity if none did."""
        start = bisect_right(self.published_at, since)
        return min((at for at in self.confirmed_at[start:] if at == at), default=math.inf)


class Judge:
    """Lives as long as a drill; publishers and consumers tell it everything, `verdict` sums up."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self._duplicated: set[tuple[int, int]] = set()
        self._redelivered: set[tuple[int, int]] = set()
        self._highest: dict[tuple[int, int], int] = {}
        self.reordered = 0
        self.unknown = 0

    def open_stream(self, queue: str, node: str) -> Stream:
        """A new channel publishes to `queue` through `node`."""
        stream = Stream(len(self.streams), queue, node)
        self.streams.append(stream)
        return stream

    def deliver(self, subscription: int, identity: int, number: int, *, redelivered: bool) -> None:
        """A consumer got a message. `subscription` is one basic.consume on one connection.

        A message that comes twice without the redelivered flag is duplicated; with it, it is what at-least-once
        promises, also when a node that was frozen hands out late what meanwhile came from another one. Within a
        subscription the messages of a stream ascend, but for those that returned to the queue.
        """
        stream = self.streams[identity] if identity < len(self.streams) else None
        if stream is None or not 1 <= number <= len(stream.published_at):
            self.unknown += 1
            return
        if number in stream.unflagged and not redelivered:
            self._duplicated.add((identity, number))
        elif number in stream.delivered:
            self._redelivered.add((identity, number))
        stream.delivered.add(number)
        if not redelivered:
            stream.unflagged.add(number)
        stream.awaited.discard(number)
        if not redelivered:
            highest = self._highest.get((subscription, identity), 0)
            if number > highest:
                self._highest[subscription, identity] = number
            else:
                self.reordered += 1

    @property
    def delivered(self) -> int:
        """How many different messages have reached a consumer."""
        return sum(len(stream.delivered) for stream in self.streams)

    @property
    def awaited(self) -> int:
        """How many confirmed messages have not reached a consumer yet."""
        return sum(len(stream.awaited) for stream in self.streams)

    def missing(self) -> set[tuple[int, int]]:
        """(stream, number) of everything confirmed that no consumer has got."""
        return {
            (stream.identity, number) for stream in self.streams for number in stream.confirmed() - stream.delivered
        }

    def promotion_ms(self, queue: str, since: float, survivors: Collection[str]) -> float | None:
        """Milliseconds from `since` to the first confirm that a publisher on a surviving node got for a message
        published to the queue after `since` (DESIGN S10); None if none came."""
        first = min(
            (s.first_confirm(since) for s in self.streams if s.queue == queue and s.node in survivors),
            default=math.inf,
        )
        return None if first == math.inf else (first - since) * 1000

    def verdict(self, set_aside: Iterable[tuple[int, int]] = ()) -> dict[str, Any]:
        """The sums of a drill. `set_aside` are messages that the cluster kept out of the queues in recovery files."""
        aside = set(set_aside)
        missing = self.missing()
        lost = sorted(missing - aside)
        published = sum(len(stream.published_at) for stream in self.streams)
        confirmed = sum(len(stream.confirmed()) for stream in self.streams)
        refused = sum(len(stream.refused) for stream in self.streams)
        return {
            "published": published,
            "confirmed": confirmed,
            "refused": refused,
            "unanswered": published - confirmed - refused,
            "delivered": self.delivered,
            "lost": len(lost),
            "duplicated": len(self._duplicated),
            "redelivered": len(self._redelivered),
            "reordered": self.reordered,
            "set_aside": len(missing & aside),
            "unknown": self.unknown,
            "lost_samples": [self._describe(*which) for which in lost[:SAMPLES_MAX]],
        }

    def _describe(self, identity: int, number: int) -> dict[str, Any]:
        stream = self.streams[identity]
        return {"queue": stream.queue, "node": stream.node, "stream": identity, "number": number}


def percentile(values: Iterable[float], percent: float) -> float | None:
    """The nearest-rank percentile, rounded to 0.1; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return round(ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)], 1)


def promotion_figures(promotions: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """promotion_ms_p50, promotion_ms_p99 over all promotions with a time, and the same for each cause."""
    times: dict[str, list[float]] = {}
    for promotion in promotions:
        if promotion["ms"] is not None:
            times.setdefault(promotion["cause"], []).append(promotion["ms"])
    everything = [ms for of_cause in times.values() for ms in of_cause]
    return {
        "promotion_ms_p50": percentile(everything, 50),
        "promotion_ms_p99": percentile(everything, 99),
        "promotion_ms": {
            cause: {"p50": percentile(of_cause, 50), "p99": percentile(of_cause, 99)}
            for cause, of_cause in sorted(times.items())
        },
    }
