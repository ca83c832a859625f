"""Looks on, for one promise: who alone holds a queue confirms nothing once another master of it has begun (S4).

It sees masters begin and advance. It must not know of leases, only of what they are for. Masters that wait for mirrors
may confirm late: what they confirm every mirror has, and the successor was one of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from broker.mirroring.master import Master
from tests.simulation.judges import Broken


class Leases:
    """By queue id the newest term under which anybody has acted."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See every master begin, and go on."""
        begin, advance = Master.__init__, Master.advance

        def watched_begin(master: Master, *args: Any, **settings: Any) -> None:
            begin(master, *args, **settings)
            queue_id = master.copy.queue_id
            self._newest[queue_id] = max(master.term, self._newest.get(queue_id, 0))

        def watched_advance(master: Master, journal_synced: int) -> Any:
            confirmed = master.confirmed_note
            alone = master.logged and not master.witnesses.required()
            freed = advance(master, journal_synced)
            newest = self._newest.get(master.copy.queue_id, 0)
            if alone and master.confirmed_note > max(confirmed, 1) and newest > master.term:
                raise Broken(f"lease: alone in term {master.term:#x}, it confirmed when there was term {newest:#x}")
            return freed

        with patch.object(Master, "__init__", watched_begin), patch.object(Master, "advance", watched_advance):
            yield
