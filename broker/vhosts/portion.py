"""What a replay of dead letters did or would do, counted.

Decides what is told, and how the answers of several requests become one. It must not know how letters travel.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from broker.vhosts.parcels import Parcel

WAYS_MAX = 100
"""So many different ways a dry run tells apart."""
OTHERS: Final = "(others)"

Fields = dict[str, Any]


class Way(NamedTuple):
    """Where a letter would go."""

    exchange: str
    keys: tuple[str, ...]
    queues: tuple[str, ...]


class Portion:
    """What one call does, and what there is to tell of it."""

    def __init__(self, upto: int) -> None:
        self.upto = upto
        self.scanned = 0
        self.matched = 0
        self.replayed = 0
        self.kept: dict[str, int] = {}
        self.ways: dict[Way, int] = {}
        self.held: list[tuple[int, Parcel]] = []
        """Letters that were taken aside, by position."""
        self.size_bytes = 0

    def keep(self, why: str) -> None:
        """One letter stays."""
        self.kept[why] = self.kept.get(why, 0) + 1

    def would_go(self, way: Way) -> None:
        """Of a dry run."""
        if way not in self.ways and len(self.ways) >= WAYS_MAX:
            way = Way(OTHERS, (), ())
        self.ways[way] = self.ways.get(way, 0) + 1
        self.replayed += 1

    def told(self, behind: int | None) -> Fields:
        """`next`: behind which position the next portion begins, None at the end."""
        counts = {"scanned": self.scanned, "matched": self.matched, "replayed": self.replayed, "kept": self.kept}
        return {**counts, "ways": rows_of(self.ways), "next": behind, "upto": self.upto}


def added(before: Fields, after: Fields) -> Fields:
    """Two answers as one: what the first did, and then the second."""
    counts = {name: before[name] + after[name] for name in ("scanned", "matched", "replayed")}
    kept = {why: before["kept"].get(why, 0) + after["kept"].get(why, 0) for why in {**before["kept"], **after["kept"]}}
    ways: dict[Way, int] = {}
    for row in (*before["ways"], *after["ways"]):
        way = Way(row["exchange"], tuple(row["keys"]), tuple(row["queues"]))
        ways[way] = ways.get(way, 0) + row["messages"]
    return {**after, **counts, "kept": kept, "ways": rows_of(ways)}


def rows_of(ways: dict[Way, int]) -> list[Fields]:
    """Ways as JSON has them."""
    return [
        {"exchange": way.exchange, "keys": list(way.keys), "queues": list(way.queues), "messages": count}
        for way, count in ways.items()
    ]
