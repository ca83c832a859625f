"""Regular expressions that somebody sends to find names: they may be as foolish as they like, and nobody waits for it.

Decides how long may be looked for, and that no part of it keeps others from their turns. Expressions are written as in
policies (`policies.patterns`), upper and lower case being one, as RabbitMQ has it. RabbitMQ's own machine counts its
steps and gives up; Python's does not, but it looks for signals while it goes on: an alarm ends it. It must not know
what the names are of.
"""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from types import FrameType
from typing import Final

import trio

from broker.management.refusals import BadRequest
from broker.management.shaping import INVALID
from policies.patterns import PatternInvalid, compile_pattern, matches

NAMES_PER_TURN: Final = 500
TURN_S: Final = 0.05
"""So long one turn may take, names or none."""
ALL_S: Final = 0.5
"""And all of them together."""
PATTERN_LENGTH_MAX: Final = 1024
TOO_SLOW: Final = "The regular expression takes too long: it has more ways to match a name than can be tried"


class _TooSlow(Exception):
    """The alarm went off."""


async def found(pattern: str, names: Sequence[str]) -> list[bool]:
    """For each name, whether the expression is found in it. Raises BadRequest for one that is none, or too slow."""
    if len(pattern) > PATTERN_LENGTH_MAX:
        raise BadRequest(INVALID)
    answers: list[bool] = []
    spent_s = 0.0
    for start in range(0, len(names), NAMES_PER_TURN):
        await trio.lowlevel.checkpoint()
        began = perf_counter()
        answers += _among(pattern, names[start : start + NAMES_PER_TURN])
        spent_s += perf_counter() - began
        if spent_s > ALL_S:
            raise BadRequest(TOO_SLOW)
    return answers


def _among(pattern: str, names: Sequence[str]) -> list[bool]:
    try:
        with _alarm(TURN_S):
            compiled = compile_pattern(f"(?i){pattern}")
            return [matches(compiled, name) for name in names]
    except PatternInvalid:
        raise BadRequest(INVALID) from None
    except _TooSlow:
        raise BadRequest(TOO_SLOW) from None


@contextmanager
def _alarm(after_s: float) -> Iterator[None]:
    """Raise _TooSlow in here after so long. Works where signals do, which is the thread that a node lives in."""
    is_on = True

    def ring(number: int, frame: FrameType | None) -> None:
        if is_on:
            raise _TooSlow

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, after_s)
        yield
    finally:
        is_on = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
