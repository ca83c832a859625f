"""What the figures of one object were, some time back: enough of it for rates and for the curves of RabbitMQ's page.

Decides how long what is remembered how closely, and what a rate is. Time is wall milliseconds and comes in. What does
not move costs nothing: a sample stands until there is another one. It must not know what the figures mean; they are
whole numbers, always equally many, in the same order.
"""

from collections import deque
from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

INTERVAL_MS: Final = 5000
"""From one look at an object to the next."""
LATE_MS: Final = INTERVAL_MS * 3 // 2
"""After so long without another sample there was a look that found nothing new."""

Values = Sequence[int]


class Grain(NamedTuple):
    """How closely is remembered what lies so far back at most."""

    step_ms: int
    span_ms: int


FINE: Final = (Grain(INTERVAL_MS, 600_000),)
"""For what comes and goes (RabbitMQ's `detailed`)."""
BASIC: Final = (*FINE, Grain(60_000, 3_600_000))
"""For queues."""
GLOBAL: Final = (*BASIC, Grain(600_000, 28_800_000), Grain(1_800_000, 86_400_000))
"""For nodes, virtual hosts, and the whole."""


class History:
    """The samples of one object: `width` figures each."""

    __slots__ = ("_grains", "_pack", "_rings")

    def __init__(self, width: int, grains: tuple[Grain, ...] = BASIC) -> None:
        self._pack = _packing(width)
        self._grains = grains
        self._rings: tuple[deque[tuple[int, bytes]], ...] = tuple(deque() for _ in grains)

    def __len__(self) -> int:
        """How many samples are kept."""
        return sum(map(len, self._rings))

    @property
    def newest(self) -> tuple[int, ...] | None:
        """The last sample; None before the first."""
        ring = self._rings[0]
        return self._pack.unpack(ring[-1][1]) if ring else None

    def note(self, now_ms: int, values: Values) -> None:
        """The figures are these now; they were looked at INTERVAL_MS ago, too."""
        packed = self._pack.pack(*values)
        for number, (grain, ring) in enumerate(zip(self._grains, self._rings, strict=True)):
            if number and ring and ring[-1][0] // grain.step_ms == now_ms // grain.step_ms:
                ring.pop()  # the last of its time stands for it; but a rate needs the last two looks as they were
            ring.append((now_ms, packed))
        self.forget(now_ms)

    def forget(self, now_ms: int, most: int | None = None) -> None:
        """Give up what is too old, but for how it began; and all but so many samples of each grain."""
        for grain, ring in zip(self._grains, self._rings, strict=True):
            horizon_ms = now_ms - grain.span_ms
            while len(ring) > 1 and (ring[1][0] <= horizon_ms or (most is not None and len(ring) > most)):
                ring.popleft()

    def rates(self, now_ms: int) -> list[float]:
        """Per second, from the last two looks; nothing moves if the last one found nothing new."""
        ring = self._rings[0]
        if len(ring) < 2 or now_ms - ring[-1][0] > LATE_MS:
            return [0.0] * (self._pack.size // 8)
        (before_ms, before), (then_ms, then) = ring[-2], ring[-1]
        passed_ms = then_ms - before_ms
        if not 0 < passed_ms <= LATE_MS:
            passed_ms = INTERVAL_MS
        old, new = self._pack.unpack(before), self._pack.unpack(then)
        return [round((after - first) * 1000 / passed_ms, 2) for first, after in zip(old, new, strict=True)]

    def idle_since_ms(self, now_ms: int) -> int | None:
        """Since when nothing has moved, as far as is remembered; None if the last look found something."""
        ring = self._rings[0]
        return ring[-1][0] if ring and now_ms - ring[-1][0] > LATE_MS else None

    def at(self, instants_ms: Sequence[int]) -> list[tuple[int, ...] | None]:
        """What the figures were at these instants, newest first; None where that is not remembered."""
        found: list[tuple[int, ...] | None] = []
        places = [len(ring) - 1 for ring in self._rings]
        for instant_ms in instants_ms:
            packed = None
            for number, ring in enumerate(self._rings):
                while places[number] >= 0 and ring[places[number]][0] > instant_ms:
                    places[number] -= 1
                if places[number] >= 0:
                    packed = ring[places[number]][1]
                    break
            found.append(None if packed is None else self._pack.unpack(packed))
        return found


_packings: dict[int, Struct] = {}


def _packing(width: int) -> Struct:
    return _packings.setdefault(width, Struct(f">{width}q"))


class Range(NamedTuple):
    """How far back a curve goes, and how far its points are apart."""

    age_s: int
    incr_s: int

    def instants(self, now_ms: int) -> list[int]:
        """In wall milliseconds, newest first."""
        step_ms = self.incr_s * 1000
        last_ms = (now_ms - INTERVAL_MS) // step_ms * step_ms if step_ms >= INTERVAL_MS else now_ms - INTERVAL_MS
        return [last_ms - number * step_ms for number in range(self.age_s // self.incr_s + 1)]


def averages(samples: Sequence[tuple[int, int]]) -> dict[str, float]:
    """RabbitMQ's two averages of (milliseconds, value), newest first; none of a single one."""
    if len(samples) < 2:
        return {}
    (last_ms, last), (first_ms, first) = samples[0], samples[-1]
    return {
        "avg_rate": (last - first) * 1000 / (last_ms - first_ms),
        "avg": sum(value for _, value in samples) / len(samples),
    }
