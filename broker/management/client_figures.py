"""What connections and channels have counted, added to the rows that say who they are.

Decides of which rows of a list that is asked for. It must not know who may see whom.
"""

from typing import TYPE_CHECKING

from broker.management.arrangement import arranged
from broker.management.counted import DATA_RATES, Counted, Instants, detailed, idle_since, message_stats
from broker.management.listing import Row
from broker.management.sampler import CHANNEL_FIGURES, CONNECTION_FIGURES
from broker.management.shaping import Page, place_of

if TYPE_CHECKING:
    from broker.management.visit import Visit
    from broker.vhosts.roster import Kind

Told = tuple[Counted, int | None]
"""Figures, and since when nothing moves."""


async def page_of(visit: "Visit", kind: "Kind", rows: list[Row]) -> list[Row] | Page:
    """A list of them; of a page only what is on it is asked for, unless that has to be known to find it."""
    pages, sort = visit.shape.pages, visit.shape.sort
    if pages is None or any(name.endswith("_details") or name == "message_stats" for name in sort):
        return await counted(visit, kind, rows)
    page = await arranged(rows, visit.shape, lambda row: str(row["name"]), lambda row: place_of(row, sort))
    assert isinstance(page, Page)
    return page._replace(rows=await counted(visit, kind, page.rows))


async def counted(visit: "Visit", kind: "Kind", rows: list[Row]) -> list[Row]:
    """The rows with what their nodes have counted, as far as they tell."""
    keys: dict[str, list[str]] = {}
    for row in rows:
        keys.setdefault(row["node"].removeprefix("rabbit@"), []).append(row["pid"])
    found, silent = await visit.census.clients(kind, keys, visit.instants)
    visit.silent.update(silent)
    shown = _octets if kind == "connections" else _traffic
    return [{**row, **shown(found[row["pid"]], visit.instants)} if row["pid"] in found else row for row in rows]


def _octets(told: Told, instants: Instants) -> Row:
    fields = detailed(told[0], CONNECTION_FIGURES, dict, DATA_RATES, instants.get(DATA_RATES, ()))
    return {name: value for name, value in fields.items() if name not in CONNECTION_FIGURES}


def _traffic(told: Told, instants: Instants) -> Row:
    happened = message_stats(told[0], CHANNEL_FIGURES, instants)
    row: Row = {"message_stats": happened} if happened else {}
    return row if told[1] is None else {**row, "idle_since": idle_since(told[1])}
