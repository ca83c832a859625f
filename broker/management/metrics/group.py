"""What is found out together: families with the same labels, and two ways to their values.

Decides what one scrape knows: the node as it is while the page is written. It must not know how values are written,
nor what is asked for.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import trio

from broker.management.metrics.exposition import Family, Row, labels

if TYPE_CHECKING:
    from broker.management.census import Census
    from broker.meters.traffic import Flow
    from broker.vhosts.hall import Hall
    from broker.vhosts.local import Local
    from broker.vhosts.roster import Volume

QUEUES_PER_TURN: Final = 100
"""What takes about a millisecond."""


Each = TypeVar("Each")


class Scrape:
    """One look at one node. `vhosts`: of which objects are wanted; None for all."""

    def __init__(self, hall: "Hall", census: "Census", vhosts: frozenset[str] | None = None) -> None:
        self.hall = hall
        self.facts: dict[str, Any] = census.here()
        self._vhosts = vhosts
        self._counted: list[tuple[str, dict[str, int]]] | None = None

    @cached_property
    def flows(self) -> "Mapping[str, Flow]":
        """By protocol what went through all channels: summed up at once, for figures of clients that go meanwhile must
        neither be lost nor counted twice."""
        return {protocol: traffic.flow for protocol, traffic in self.hall.meters.traffic.items()}

    @cached_property
    def volume(self) -> "Volume":
        """What went over all connections; likewise."""
        return self.hall.roster.volume()

    def wants(self, vhost: str) -> bool:
        """Whether objects of this vhost are wanted."""
        return self._vhosts is None or vhost in self._vhosts

    async def counted(self) -> list[tuple[str, dict[str, int]]]:
        """What each queue with its master here counts, with its labels; they are asked once for a page."""
        if self._counted is None:
            self._counted = await self.queues(
                lambda vhost, name, local: [(labels(vhost=vhost, queue=name), local.figures())]
            )
        return self._counted

    async def queues(self, row: "Callable[[str, str, Local], list[Each]]") -> "list[Each]":
        """The rows for each queue with its master here; others have their turns in between. `row` is given vhost, name
        and master."""
        rows: list[Each] = []
        handles = self.hall.catalogue.handles
        for number, local in enumerate([*self.hall.guests.locals.values()]):
            if not number % QUEUES_PER_TURN:
                await trio.lowlevel.checkpoint()
            handle = handles.get(local.queue_id)
            if handle is not None and not local.ended and not handle.delays and self.wants(handle.record.vhost):
                rows += row(handle.record.vhost, handle.record.name, local)
        return rows


Look = Callable[[Scrape], Awaitable[list[Row]]]


class Group(NamedTuple):
    """One line of the table of what there is."""

    name: str
    """As `family` of /metrics/detailed."""
    families: tuple[Family, ...]
    totals: Look
    """All objects of the node together, or the node itself."""
    each: Look
    """Every object on its own."""
    prefix: str = ""
    """How its names begin, if not as others on the page do."""
