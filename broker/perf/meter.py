"""The figures of a load: counts, rates and latencies, as one dictionary.

It decides what is summed up and how it is printed. It must not know sockets or clocks: moments come in as integer
nanoseconds of one clock.
"""

from collections.abc import Iterable
from typing import Any

from broker.perf.judge import percentile

LATENCIES_MAX = 2_000_000
PERCENTILES = (50, 90, 99, 99.9)


class Latencies:
    """Samples in nanoseconds; `figures` are microseconds."""

    def __init__(self) -> None:
        self.samples: list[int] = []

    def add(self, samples: Iterable[int]) -> None:
        """Remember these; beyond two millions the first ones speak for all."""
        if len(self.samples) < LATENCIES_MAX:
            self.samples.extend(samples)

    def figures(self) -> dict[str, float | None] | None:
        """p50_us … p99.9_us and max_us; None without a sample."""
        if not self.samples:
            return None
        micros = [sample / 1000 for sample in self.samples]
        figures = {f"p{percent:g}_us": percentile(micros, percent) for percent in PERCENTILES}
        return {**figures, "max_us": round(max(micros), 1)}


class Side:
    """Publishes or deliveries: how many, from when to when."""

    def __init__(self) -> None:
        self.count = 0
        self.first_ns = 0
        self.last_ns = 0

    def add(self, count: int, now_ns: int) -> None:
        """`count` more happened until now."""
        if not self.first_ns:
            self.first_ns = now_ns
        self.count += count
        self.last_ns = now_ns

    def rate(self, since_ns: int = 0) -> int | None:
        """Messages per second from the first (or `since_ns`) to the last; None if there was no time between."""
        span = self.last_ns - (since_ns or self.first_ns)
        return round(self.count * 1e9 / span) if self.count and span > 0 else None


class Meter:
    """Everything that a load measures."""

    def __init__(self) -> None:
        self.published = Side()
        self.confirmed = Side()
        self.delivered = Side()
        self.refused = 0
        self.returned = 0
        self.blocked = False
        self.latency = Latencies()
        self.confirm_latency = Latencies()

    def figures(self, *, expected: int | None) -> dict[str, Any]:
        """The report. `expected` deliveries; None if that is not known."""
        began = self.published.first_ns
        return {
            "published": self.published.count,
            "confirmed": self.confirmed.count,
            "refused": self.refused,
            "returned": self.returned,
            "delivered": self.delivered.count,
            "missing": None if expected is None else expected - self.delivered.count,
            "publish_rate": self.published.rate(),
            "confirm_rate": self.confirmed.rate(began),
            "deliver_rate": self.delivered.rate(),
            "seconds": round(
                (max(self.delivered.last_ns, self.published.last_ns) - (began or self.delivered.first_ns)) / 1e9, 3
            ),
            "latency": self.latency.figures(),
            "confirm_latency": self.confirm_latency.figures(),
        }


def table(figures: dict[str, Any]) -> list[str]:
    """The report for people."""
    lines = [f"{'':12}{'messages':>14}{'per second':>14}"]
    for name, rate in (("published", "publish_rate"), ("confirmed", "confirm_rate"), ("delivered", "deliver_rate")):
        if figures[name]:
            lines.append(f"{name:12}{figures[name]:>14,}{_number(figures[rate]):>14}")
    lines += [f"{name:12}{figures[name]:>14,}" for name in ("refused", "returned", "missing") if figures[name]]
    for name, title in (("latency", "publish to delivery"), ("confirm_latency", "publish to confirm")):
        if figures[name]:
            values = "  ".join(f"{key.removesuffix('_us')} {_time(value)}" for key, value in figures[name].items())
            lines.append(f"{title}: {values}")
    return lines


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _time(micros: float) -> str:
    return f"{micros:.0f} us" if micros < 1000 else f"{micros / 1000:.2f} ms"
