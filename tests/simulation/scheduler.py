"""The one place that knows trio's private names for a scheduler that repeats itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from trio._core import _run


@contextmanager
def seeded_scheduler(seed: int) -> Iterator[None]:
    """Inside, trio runs the tasks that are ready in an order that follows from `seed` alone.

    Enter it before `trio.run`. Else trio shuffles them, which is good for finding bugs and bad for finding one again.
    """
    state = _run._r.getstate()
    with patch.object(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True):
        _run._r.seed(seed)
        try:
            yield
        finally:
            _run._r.setstate(state)
