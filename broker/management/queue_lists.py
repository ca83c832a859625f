"""/api/queues by HTTP: a page of ten thousand queues costs little more than a page of a hundred.

Decides what has to be asked of the masters before it is known which queues are shown: nothing if the tree says by what
they are sorted, else that one figure; everything only of those that are shown. It must not know how a queue looks.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from broker.cluster.records import QueueRecord
from broker.management import queues
from broker.management.arrangement import arranged
from broker.management.listing import Row, rows_of
from broker.management.route import Query
from broker.management.shaping import Page, place, place_of

if TYPE_CHECKING:
    from broker.management.visit import Visit

QUERIES = (
    Query("disable_stats", "boolean", "Only what the cluster has agreed upon: no master is asked for anything."),
    Query("enable_queue_totals", "boolean", "With `disable_stats`: with the three counts of messages all the same."),
)
FEW = 4
"""So many figures are asked for one by one before it costs less to ask for all of a queue."""
_BARE = ("name", "vhost", "type", "node", "state", "durable", "auto_delete", "exclusive", "arguments", "policy")
_TOTALS = (*_BARE, *queues.TOTALS)

Place = Callable[[QueueRecord], Any]


async def listed(visit: "Visit") -> list[Row] | Page:
    """The queues of the path's virtual host, or of all that the user may enter."""
    records = await visit.census.queues.of(visit.vhosts())
    shown = _bare if visit.says("disable_stats") else _described
    if visit.shape.pages is None and shown is _described and (names := _few(visit, records)):
        return await _with_figures(visit, records, names)
    by = None if visit.shape.pages is None else await _place(visit, records)
    if by is None:
        return await shown(visit, records)
    page = await arranged(records, visit.shape, lambda record: record.name, by)
    assert isinstance(page, Page)
    return page._replace(rows=await shown(visit, page.rows))


async def _described(visit: "Visit", records: list[QueueRecord]) -> list[Row]:
    listing = await queues.of_records(visit.hall, visit.census, records, silent=visit.silent)
    visit.silent.update(listing.silent)
    return listing.rows


def _few(visit: "Visit", records: list[QueueRecord]) -> list[str]:
    """The fields that are asked for, if they can be had without looking at all of a queue; else none."""
    columns, sort = visit.shape.columns, visit.shape.sort
    if columns is None or not records:
        return []
    agreed, names = queues.agreed_upon(records[0]), [*dict.fromkeys([*columns, ".".join(sort)] if sort else columns)]
    figures = [name for name in names if name not in agreed]
    return names if len(figures) <= FEW and all(name in queues.COUNTS for name in figures) else []


async def _with_figures(visit: "Visit", records: list[QueueRecord], names: list[str]) -> list[Row]:
    """Every queue with these fields; what its master does not tell is missing."""
    figures: dict[str, dict[int, Any]] = {}
    for name in names:
        if name in queues.COUNTS:
            asked = [record for record in records if record.master.node not in visit.silent]
            figures[name], silent = await visit.census.column(asked, queues.FIGURES[name])
            visit.silent.update(silent)

    def row(record: QueueRecord) -> Row:
        agreed = queues.agreed_upon(record)
        told = {name: values[record.id] for name, values in figures.items() if record.id in values}
        return {name: agreed[name] for name in names if name in agreed} | told

    return await rows_of(records, row)


async def _place(visit: "Visit", records: list[QueueRecord]) -> Place | None:
    """Where a queue stands, as far as that can be said without looking at all of it."""
    path = ".".join(visit.shape.sort)
    if path in queues.FIGURES:
        values, silent = await visit.census.column(records, queues.FIGURES[path])
        visit.silent.update(silent)
        return lambda record: place(values.get(record.id, 0))
    if not path or not records or visit.shape.sort[0] in queues.agreed_upon(records[0]):
        return lambda record: place_of(queues.agreed_upon(record), visit.shape.sort)
    return None


async def _bare(visit: "Visit", records: list[QueueRecord]) -> list[Row]:
    """What RabbitMQ shows of a queue when it is not to count anything."""
    if visit.says("enable_queue_totals"):
        rows = await _described(visit, records)
        return await rows_of(rows, lambda row: _only(row, _TOTALS))
    return await rows_of(records, lambda record: _only(queues.without_figures(record), _BARE))


def _only(row: Row, fields: Sequence[str]) -> Row:
    return {name: row[name] for name in fields if row.get(name) is not None}
