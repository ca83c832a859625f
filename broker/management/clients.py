"""/api/connections, /api/channels and /api/consumers, and the rows of the commands that list them.

Decides who may see whom: who monitors sees everybody, others see themselves. It must not know where a client is
connected.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.management.listing import Listing, Row, Source
from broker.management.visit import Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from broker.management.census import Census
    from broker.management.visit import Visit
    from broker.vhosts.hall import Hall
    from broker.vhosts.roster import Kind


def _source(kind: "Kind") -> Source:
    async def listing(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
        rows, silent = await hall.roster.survey(kind)
        inside = frozenset(vhosts)
        return Listing([row for row in rows if _vhost_of(row) in inside], silent)

    return listing


connections = _source("connections")
channels = _source("channels")
consumers = _source("consumers")


def _vhost_of(row: Row) -> str:
    vhost: str = row["queue"]["vhost"] if "queue" in row else row["vhost"]
    return vhost


def _user_of(row: Row) -> str:
    user: str = row["channel_details"]["user"] if "queue" in row else row["user"]
    return user


def visible(source: Source) -> "Callable[[Visit], Awaitable[list[Row]]]":
    """The rows that this user may see, of the path's virtual host or of all."""

    async def rows(visit: "Visit") -> list[Row]:
        listing = await source(visit.hall, visit.census, visit.vhosts(entered=False))
        return [row for row in listing.rows if visit.monitors or _user_of(row) == visit.user.name]

    return rows


async def connection(visit: "Visit") -> Row:
    """One connection by its name."""
    return await _named(visit, connections)


async def channels_of_connection(visit: "Visit") -> list[Row]:
    """The channels of a connection."""
    pid = (await _named(visit, connections))["pid"]
    listing = await channels(visit.hall, visit.census, visit.vhosts(entered=False))
    return [row for row in listing.rows if row["connection"] == pid]


async def channel(visit: "Visit") -> Row:
    """One channel by its name, with its consumers."""
    row = await _named(visit, channels)
    listing = await consumers(visit.hall, visit.census, visit.vhosts(entered=False))
    return {**row, "consumer_details": [one for one in listing.rows if one["channel_pid"] == row["pid"]]}


async def _named(visit: "Visit", source: Source) -> Row:
    name = visit.part("name")
    listing = await source(visit.hall, visit.census, visit.vhosts(entered=False))
    found = next((row for row in listing.rows if row["name"] == name), None)
    if found is None:
        raise NotFound
    if not visit.monitors and _user_of(found) != visit.user.name:
        raise Forbidden("User not authorised to access object")
    return found
