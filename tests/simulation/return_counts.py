"""Looks on, for one promise: how often a message came back to a quorum queue is never forgotten once it is safe.

It sees what masters write down, when that has become safe, and what a later master begins with. It must not know why
masters change.
"""

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from broker.mirroring.master import Master
from broker.wire import records
from tests.simulation.judges import Broken


class ReturnCounts:
    """By queue id and position, the counts that every copy which counts has on disk."""

    def __init__(self) -> None:
        self._noted: defaultdict[Master, deque[tuple[int, list[tuple[int, int, int]]]]] = defaultdict(deque)
        self._safe: defaultdict[tuple[int, int], dict[int, int]] = defaultdict(dict)
        """By term in which it became so."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See every master's notes, and how each master begins."""
        begin, put, advance = Master.__init__, Master._put, Master.advance

        def watched_begin(master: Master, *args: Any, **settings: Any) -> None:
            begin(master, *args, **settings)
            self._judge(master)

        def watched_put(master: Master, record: records.QueueRecord, durable: bool, *effect: Any) -> None:
            put(master, record, durable, *effect)
            if isinstance(record, records.Returned):
                self._noted[master].append((master.note, record.counts))

        def watched_advance(master: Master, journal_synced: int) -> Any:
            freed = advance(master, journal_synced)
            noted = self._noted.get(master)
            while noted and noted[0][0] <= master.confirmed_note:
                self._keep(master, noted.popleft()[1])
            return freed

        with (
            patch.object(Master, "__init__", watched_begin),
            patch.object(Master, "_put", watched_put),
            patch.object(Master, "advance", watched_advance),
        ):
            yield

    def _keep(self, master: Master, counts: list[tuple[int, int, int]]) -> None:
        for first, last, times in counts:
            for position in range(first, last + 1):
                safe = self._safe[master.copy.queue_id, position]
                safe[master.term] = max(times, safe.get(master.term, 0))

    def _judge(self, master: Master) -> None:
        """A sleeper that learns late of the term it was given knows nothing of later ones, and nobody asks it."""
        for run in master.queue.living():
            for position in range(run.first, run.last + 1):
                known = self._safe.get((master.copy.queue_id, position), {})
                safe = max((times for term, times in known.items() if term < master.term), default=0)
                if run.returned < safe:
                    raise Broken(f"count: {run} came back {safe} times, its new master knows of {run.returned}")
