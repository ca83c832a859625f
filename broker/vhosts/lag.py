"""Whether catch-up would end by itself, and how much publishers have to be slowed if not (DESIGN rule S5).

Decides that a mirror falls behind when what it lacks does not shrink, or so little that it would go on for ever, and
in which share of their time publishers may go on then: less and less until it shrinks, and more again while it does.
It must not know who is kept waiting, nor how the mirror is filled.
"""

from typing import TYPE_CHECKING

from broker.mirroring.pacing import Pacing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.mirroring.master import Master
    from broker.vhosts.local import Local

WINDOW_MS = 500
SHRINKS_BYTES = 256 * 1024
"""In each window what is missing has to get shorter by this, or by a quarter if it is short."""
SHRINKS_SHARE = 512
"""If it is very long, by one part in so many."""
SHARES = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 0.0)


class Window:
    """What was missing when a window began, and how far publishers are slowed in it (an index of `SHARES`)."""

    __slots__ = ("began_ms", "count", "step")

    def __init__(self, began_ms: int, count: int) -> None:
        self.began_ms = began_ms
        self.count = count
        self.step = 0


class Lag:
    """The catch-ups of one node's masters."""

    def __init__(self, pacing: Pacing | None = None) -> None:
        """`pacing`: how fast mirrors are filled at most; no more than half of that is asked of a catch-up."""
        self._paced_bytes = None if pacing is None else pacing.carries_bytes(WINDOW_MS / 2000)
        self._windows: dict[tuple[int, str, int], Window] = {}
        """By queue, mirror and its life."""

    def look(self, masters: "Iterable[Local]", now_ms: int) -> float:
        """In which share of their time publishers may publish, so that every catch-up ends; 1.0 if all of it."""
        windows: dict[tuple[int, str, int], Window] = {}
        for local in masters:
            for node, follower in local.master.witnesses.followers.items():
                if follower.missing:
                    key = (local.queue_id, node, follower.life)
                    window = windows[key] = self._windows.get(key) or Window(now_ms, follower.missing_count)
                    if now_ms - window.began_ms >= WINDOW_MS:
                        _judge(window, local.master, follower.missing_count, self._paced_bytes)
                        window.began_ms, window.count = now_ms, follower.missing_count
        self._windows = windows
        return min((SHARES[window.step] for window in windows.values()), default=1.0)


def _judge(window: Window, master: "Master", count: int, paced_bytes: int | None) -> None:
    """Slow publishers more, or less: by what has become of this window's rest."""
    mean_bytes = master.queue.mean_bytes
    enough = max(min(window.count // 4, SHRINKS_BYTES // mean_bytes), window.count // SHRINKS_SHARE)
    if paced_bytes is not None:
        enough = min(enough, paced_bytes // mean_bytes)
    if window.count - count >= max(1, enough):
        window.step = max(window.step - 1, 0)
    else:
        window.step = min(window.step + 1, len(SHARES) - 1)
