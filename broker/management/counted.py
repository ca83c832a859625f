"""What several objects count together, how fast, and how it was before: in the words of RabbitMQ's objects.

Decides which figures make a total, which tell what happened to messages, and the shape of `_details`. It must not know
who counts. Source: RabbitMQ 3.10, `rabbit_mgmt_stats`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import add
from typing import Any, Final, NamedTuple

from broker.management.history import BASIC, FINE, GLOBAL, History, Range, averages
from broker.management.ledger import QUEUE_FIGURES
from broker.management.refusals import BadRequest
from broker.management.route import Query

LENGTHS: Final = "lengths"
MESSAGE_RATES: Final = "msg_rates"
DATA_RATES: Final = "data_rates"
NODE_STATS: Final = "node_stats"
KINDS_OF_CURVES: Final = {
    LENGTHS: "the lengths of queues",
    MESSAGE_RATES: "messages",
    DATA_RATES: "bytes of connections",
    NODE_STATS: "nodes",
}
POINTS_MAX: Final = 500
RETENTION: Final = {
    name: [grain.span_ms // 1000 for grain in grains]
    for name, grains in (("global", GLOBAL), ("basic", BASIC), ("detailed", FINE))
}
"""How far back curves go: of nodes, virtual hosts and the whole; of queues; of connections and channels."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

CURVES: Final = tuple(
    query
    for prefix, of in KINDS_OF_CURVES.items()
    for query in (
        Query(f"{prefix}_age", "integer", f"Curves of {of}: so many seconds back."),
        Query(f"{prefix}_incr", "integer", f"With `{prefix}_age`: a point every so many seconds; at most 500."),
    )
)
"""What objects with a history can be asked for."""

DELIVERIES: Final = ("deliver", "deliver_no_ack", "get", "get_no_ack")
Named = Mapping[str, Any]
Instants = Mapping[str, Sequence[int]]
"""By kind of curve its points in wall milliseconds, newest first."""


def instants_of(queries: Mapping[str, str], now_ms: int) -> dict[str, list[int]]:
    """The points that a request asks for. Raises BadRequest for too many, or none."""
    found: dict[str, list[int]] = {}
    for prefix in KINDS_OF_CURVES:
        age, incr = (queries.get(f"{prefix}_{name}", "") for name in ("age", "incr"))
        if _INTEGER.fullmatch(age) is None or _INTEGER.fullmatch(incr) is None:
            continue
        age_s, incr_s = int(age), int(incr)
        if age_s < 1 or incr_s < 1 or age_s // incr_s > POINTS_MAX:
            raise BadRequest(f"Invalid range parameters: age {age_s}, incr {incr_s}")
        found[prefix] = Range(age_s, incr_s).instants(now_ms)
    return found


class Counted(NamedTuple):
    """Some figures, always the same in the same order; as JSON a list of the three."""

    values: Sequence[int]
    rates: Sequence[float]
    samples: Mapping[str, Sequence[Sequence[int] | None]] = {}
    """By kind of curve what they were at its points; None where that is not known."""


def of_history(values: Sequence[int], history: History | None, now_ms: int, instants: Instants) -> Counted:
    """Figures with their past."""
    if history is None:
        return Counted(values, [0.0] * len(values), {kind: [None] * len(points) for kind, points in instants.items()})
    return Counted(values, history.rates(now_ms), {kind: history.at(points) for kind, points in instants.items()})


def together(parts: Iterable[Counted], width: int) -> Counted:
    """The sum."""
    total: Counted | None = None
    for part in parts:
        total = part if total is None else _sum(total, part)
    return Counted([0] * width, [0.0] * width) if total is None else total


def _sum(one: Counted, other: Counted) -> Counted:
    samples = {
        kind: [
            later if sooner is None else sooner if later is None else list(map(add, sooner, later))
            for sooner, later in zip(one.samples[kind], other.samples[kind], strict=True)
        ]
        for kind in one.samples
    }
    return Counted(list(map(add, one.values, other.values)), list(map(add, one.rates, other.rates)), samples)


def part_of(counted: Counted, names: Sequence[str], wanted: Sequence[str]) -> Counted:
    """Some of the figures."""
    places = [names.index(name) for name in wanted]

    def of(row: Sequence[Any]) -> list[Any]:
        return [row[place] for place in places]

    samples = {kind: [None if row is None else of(row) for row in rows] for kind, rows in counted.samples.items()}
    return Counted(of(counted.values), of(counted.rates), samples)


# ------------------------------------------------------------------ RabbitMQ's fields


def totals(figures: Named) -> dict[str, Any]:
    """The messages of queues."""
    ready, unacknowledged = figures["messages_ready"], figures["messages_unacknowledged"]
    return {"messages": ready + unacknowledged, "messages_ready": ready, "messages_unacknowledged": unacknowledged}


def stats(figures: Named) -> dict[str, Any]:
    """What happened to messages."""
    found = {name: value for name, value in figures.items() if name not in _NO_STATS}
    return {**found, "deliver_get": sum(found[name] for name in DELIVERIES)}


_NO_STATS = frozenset(["messages_ready", "messages_unacknowledged", "consumers"])


def named(values: Iterable[Any], names: Collection[str] = QUEUE_FIGURES) -> dict[str, Any]:
    """The figures by name."""
    return dict(zip(names, values, strict=True))


def detailed(
    counted: Counted,
    names: Sequence[str],
    fields: Callable[[Named], dict[str, Any]],
    kind: str = "",
    points: Sequence[int] = (),
) -> dict[str, Any]:
    """These fields with their `_details`: rates, and a curve through what is known of these points."""
    rates = fields(named(counted.rates, names))
    known = zip(points, counted.samples.get(kind, ()), strict=False)
    curve = [(instant, fields(named(values, names))) for instant, values in known if values is not None]
    found: dict[str, Any] = {}
    for name, value in fields(named(counted.values, names)).items():
        found[name] = value
        found[f"{name}_details"] = {"rate": rates[name], **_curve(name, curve)}
    return found


def lengths(counted: Counted, instants: Instants) -> dict[str, Any]:
    """The messages of queues, with details."""
    return detailed(counted, QUEUE_FIGURES, totals, LENGTHS, instants.get(LENGTHS, ()))


def message_stats(counted: Counted, names: Sequence[str], instants: Instants) -> dict[str, Any]:
    """What happened to messages, with details: of coming and of going what there was any of."""
    now = stats(named(counted.values, names))
    came, went = (any(value for name, value in now.items() if (name in _COMING) is coming) for coming in (True, False))
    if not came and not went:
        return {}

    def happened(figures: Named) -> dict[str, Any]:
        return {name: value for name, value in stats(figures).items() if (came if name in _COMING else went)}

    return detailed(counted, names, happened, MESSAGE_RATES, instants.get(MESSAGE_RATES, ()))


_COMING = frozenset(["publish", "confirm", "return_unroutable", "drop_unroutable"])


def idle_since(stamp_ms: int) -> str:
    """A time as RabbitMQ writes it."""
    return datetime.fromtimestamp(stamp_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _curve(name: str, curve: Sequence[tuple[int, Named]]) -> dict[str, Any]:
    if not curve:
        return {}
    samples = [(instant, values[name]) for instant, values in curve]
    return {"samples": [{"sample": value, "timestamp": at} for at, value in samples], **averages(samples)}
