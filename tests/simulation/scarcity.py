"""Limits made so small that what takes a busy day elsewhere happens all the time.

Decides the sizes. It must not know who is judged under them.
"""

from collections.abc import Callable
from functools import partial

import pytest

from broker.mirroring import catch_up, pacing, repeats
from broker.node import store
from broker.queues import page
from broker.vhosts import dispatch, followers, paging

SEGMENT_BYTES = 4000
WINDOW_BYTES_MAX = 1500
WINDOW_BYTES_MIN = 600
PACE_BYTES_PER_S = 1500


def slow_catch_up(patch: pytest.MonkeyPatch) -> None:
    """What a mirror lacks goes to it in many small pieces, while its queue works on."""
    patch.setattr(catch_up, "REST_BYTES_MAX", 300)
    patch.setattr(catch_up, "CHUNK_BYTES", 200)
    patch.setattr(pacing.Pacing, "batch_of", lambda *_: 2)
    patch.setattr(followers, "CATCH_UP_BYTES_MAX", 300)


def little_memory(patch: pytest.MonkeyPatch) -> None:
    """Queues keep a few messages in memory; the others lie in small segments, which are soon full and soon emptied."""
    patch.setattr(paging, "WINDOW_BYTES_MAX", WINDOW_BYTES_MAX)
    patch.setattr(paging, "WINDOW_BYTES_MIN", WINDOW_BYTES_MIN)
    patch.setattr(page, "PAGE_MESSAGES_MAX", 4)
    patch.setattr(page, "PAGE_BYTES_MAX", 200)
    patch.setattr(dispatch, "UNDER_WAY_MAX", 8)
    patch.setattr(repeats, "REMEMBERED_MAX", 32)  # what is remembered takes room in segments, too
    patch.setattr(store, "Journal", partial(store.Journal, segment_bytes=SEGMENT_BYTES))


def slow_pace(patch: pytest.MonkeyPatch) -> None:
    """Mirrors are filled as slowly as an operator may want it: for seconds the master alone holds everything."""
    begin = pacing.Pacing.__init__

    def begin_slowly(pace: pacing.Pacing, *_: int) -> None:
        begin(pace, bytes_per_s=PACE_BYTES_PER_S)

    patch.setattr(pacing.Pacing, "__init__", begin_slowly)


SCARCITIES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "memory": little_memory,
    "catch-up": slow_catch_up,
    "pace": slow_pace,
}
"""By what there is little of."""
