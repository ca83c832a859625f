"""/api/connections, /api/channels and /api/consumers, and the rows of the commands that list them.

Decides who may see whom: who monitors sees everybody, others see themselves. It must not know where a client is
connected.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.management import reply
from broker.management.client_figures import counted, page_of
from broker.management.listing import Listing, Row, Source
from broker.management.refusals import Forbidden, NotFound
from broker.management.visit import OBJECT_REFUSED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from broker.management.census import Census
    from broker.management.reply import Reply
    from broker.management.shaping import Page
    from broker.management.visit import Visit
    from broker.vhosts.hall import Hall
    from broker.vhosts.roster import Kind

CLOSED = "Closed via management plugin"
"""RabbitMQ's reason when nobody gives another."""


def _source(kind: "Kind") -> Source:
    async def listing(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
        rows, silent = await hall.roster.survey(kind)
        inside = frozenset(vhosts)
        return Listing([row for row in rows if _vhost_of(row) in inside], silent)

    listing.__doc__ = f"The {kind} of these vhosts; without the tag for monitoring those of the user who asks."
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
    """The rows that this user may see, of the path's virtual host or of all, by name: pages stay what they are."""

    async def rows(visit: "Visit") -> list[Row]:
        listing = await source(visit.hall, visit.census, visit.vhosts(entered=False))
        visit.silent.update(listing.silent)
        seen = [row for row in listing.rows if visit.monitors or _user_of(row) == visit.user.name]
        return sorted(seen, key=lambda row: (_vhost_of(row), str(row.get("name", ""))))

    rows.__doc__ = source.__doc__
    return rows


async def every_connection(visit: "Visit") -> "list[Row] | Page":
    """The connections that this user may see, with rates."""
    return await page_of(visit, "connections", await visible(connections)(visit))


async def every_channel(visit: "Visit") -> "list[Row] | Page":
    """The channels that this user may see, with what goes through them."""
    return await page_of(visit, "channels", await visible(channels)(visit))


async def connection(visit: "Visit") -> Row:
    """One connection by its name."""
    (row,) = await counted(visit, "connections", [await _named(visit, connections)])
    return row


async def channels_of_connection(visit: "Visit") -> list[Row]:
    """The channels of a connection."""
    pid = (await _named(visit, connections))["pid"]
    listing = await channels(visit.hall, visit.census, visit.vhosts(entered=False))
    return await counted(visit, "channels", [row for row in listing.rows if row["connection"] == pid])


async def channel(visit: "Visit") -> Row:
    """One channel by its name, with its consumers."""
    (row,) = await counted(visit, "channels", [await _named(visit, channels)])
    listing = await consumers(visit.hall, visit.census, visit.vhosts(entered=False))
    own = [one for one in listing.rows if one["channel_pid"] == row["pid"]]
    # Which exchange and which queue is not counted, as in RabbitMQ's usual mode.
    return {**row, "consumer_details": own, "publishes": [], "deliveries": []}


async def _named(visit: "Visit", source: Source) -> Row:
    name = visit.part("name")
    listing = await source(visit.hall, visit.census, visit.vhosts(entered=False))
    found = next((row for row in listing.rows if row["name"] == name), None)
    if found is None:
        raise NotFound
    if not visit.monitors and _user_of(found) != visit.user.name:
        raise Forbidden(OBJECT_REFUSED)
    return found


async def of_user(visit: "Visit") -> list[Row]:
    """The connections of a user."""
    name = visit.part("user")
    listing = await connections(visit.hall, visit.census, visit.vhosts(entered=False))
    rows = [row for row in listing.rows if row["user"] == name]
    if rows and not visit.monitors and name != visit.user.name:
        raise Forbidden(OBJECT_REFUSED)
    return rows


async def close(visit: "Visit") -> "Reply":
    """Close a connection; its client hears what the header X-Reason says."""
    await _close(visit, [await _named(visit, connections)])
    return reply.DONE


async def close_all_of_user(visit: "Visit") -> "Reply":
    """Close all connections of a user."""
    await _close(visit, await of_user(visit))
    return reply.DONE


async def _close(visit: "Visit", rows: list[Row]) -> None:
    if any(row["user"] != visit.user.name for row in rows) and not visit.administers:
        raise Forbidden(OBJECT_REFUSED)
    reason = visit.headers.get("x-reason", CLOSED)
    for row in rows:
        await visit.hall.roster.close(row["pid"], reason)
