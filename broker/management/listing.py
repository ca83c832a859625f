"""What a list of objects is, before anybody has decided how to show it.

Decides the shape that every list has, so that the HTTP API and the command line serve the same rows. It must not know
any kind of object.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import trio

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.management.census import Census
    from broker.management.visit import Visit
    from broker.vhosts.hall import Hall

R = TypeVar("R")

ROWS_PER_TURN = 200
"""What takes about 10 ms."""

Row = dict[str, Any]
"""One object, with the field names of RabbitMQ's HTTP API; what is not known is absent."""


class Listing(NamedTuple):
    """Rows, and the nodes that ought to run but did not tell theirs in time."""

    rows: list[Row]
    silent: Collection[str] = ()


async def rows_of(records: Iterable[R], described: Callable[[R], Row]) -> list[Row]:
    """A row for each; long lists leave others their turns."""
    rows: list[Row] = []
    for number, record in enumerate(records):
        if number % ROWS_PER_TURN == 0:
            await trio.lowlevel.checkpoint()
        rows.append(described(record))
    return rows


Source = Callable[["Hall", "Census", Sequence[str]], Awaitable[Listing]]
"""Lists the objects of one kind in these virtual hosts; kinds that belong to none pay no heed to them."""


def agreed(rows: "Callable[[Tree, Sequence[str]], list[Row]]") -> Source:
    """A list of what stands in the tree: this node knows all of it."""

    async def source(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
        await trio.lowlevel.checkpoint()
        return Listing(rows(hall.tree.tree, vhosts))

    source.__doc__ = rows.__doc__
    return source


def listed(source: Source) -> "Callable[[Visit], Awaitable[list[Row]]]":
    """A list as the HTTP API serves it: of the path's virtual host, or of all that the user may enter."""

    async def rows(visit: "Visit") -> list[Row]:
        listing = await source(visit.hall, visit.census, visit.vhosts())
        visit.silent.update(listing.silent)
        return listing.rows

    rows.__doc__ = source.__doc__
    return rows
