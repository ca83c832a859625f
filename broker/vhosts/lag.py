"""Whether catch-up would end by itself (DESIGN rule S5).

Decides that a mirror falls behind when what it lacks did not shrink by a quarter within a second: then publishers have
to wait until it did. It must not know who is kept waiting, nor how the mirror is filled.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.vhosts.local import Local

WINDOW_MS = 1000


class Lag:
    """The catch-ups of one node's masters."""

    def __init__(self) -> None:
        self._begun: dict[tuple[int, str, int], tuple[int, int]] = {}
        """Queue, mirror and its life -> when the present window began, and how much was missing then."""
        self._late: set[tuple[int, str, int]] = set()

    def look(self, masters: "Iterable[Local]", now_ms: int) -> bool:
        """Whether any catch-up falls behind now."""
        missing = {
            (local.queue_id, node, follower.life): follower.missing_count
            for local in masters
            for node, follower in local.master.witnesses.followers.items()
            if follower.missing
        }
        for key, count in missing.items():
            began_ms, before = self._begun.setdefault(key, (now_ms, count))
            if 4 * count <= 3 * before:
                self._late.discard(key)
                self._begun[key] = (now_ms, count)
            elif now_ms - began_ms >= WINDOW_MS:
                self._late.add(key)
        self._begun = {key: window for key, window in self._begun.items() if key in missing}
        self._late &= missing.keys()
        return bool(self._late)
