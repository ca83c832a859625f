"""How an answer was asked for: which page of a list, in what order, which fields of each object.

Decides RabbitMQ's parameters and its words for what is wrong with them, the order of values of different kinds, and the
object that a page comes in. It must not know any kind of object, nor wait. Fields are named with dots: `a.b` is `b`
inside of `a`. Of an object of which nothing was asked for, `{}` is left; RabbitMQ, whose language knows no difference,
says `[]`. Source: RabbitMQ 3.10, `rabbit_mgmt_util`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from broker.management.refusals import BadRequest, Refusal

PAGE_ROWS = 100
PAGE_ROWS_MAX = 500
INVALID = "Pagination parameters are invalid"

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

Columns = dict[str, Any]
"""By field what of it is shown: its own `Columns`, or None for all of it."""


class Pages(NamedTuple):
    """Which page of a list, of what is called so."""

    page: int
    page_size: int = PAGE_ROWS
    name: str = ""
    use_regex: bool = False


class Shape(NamedTuple):
    """What a request says of the form of its answer."""

    columns: Columns | None = None
    sort: tuple[str, ...] = ()
    """The way to the field; none: as the list is."""
    reverse: bool = False
    pages: Pages | None = None
    """None: all in one list."""


class Page(NamedTuple):
    """A part of a list, and how much there is besides."""

    rows: list[Any]
    total_count: int
    filtered_count: int
    pages: Pages

    def as_json(self) -> dict[str, Any]:
        """RabbitMQ's object."""
        page_size = self.pages.page_size
        return {
            "filtered_count": self.filtered_count,
            "item_count": len(self.rows),
            "items": self.rows,
            "page": self.pages.page,
            "page_count": -(-self.filtered_count // page_size),
            "page_size": page_size,
            "total_count": self.total_count,
        }


def shape_of(queries: Mapping[str, str], *, pages: bool) -> Shape:
    """What a request asks for; `pages` if this list can come in pages. Raises Refusal."""
    columns, sort = queries.get("columns"), queries.get("sort")
    return Shape(
        None if columns is None else _columns(columns),
        () if sort is None else tuple(sort.split(".")),
        queries.get("sort_reverse") == "true",
        _pages(queries) if pages else None,
    )


def _columns(text: str) -> Columns:
    columns: Columns = {}
    for path in filter(None, text.split(",")):
        inside: Columns | None = columns
        *way, last = path.split(".")
        for name in way:
            inside = inside.setdefault(name, {}) if inside is not None else None
        if inside is not None:
            inside[last] = None
    return columns


def _pages(queries: Mapping[str, str]) -> Pages | None:
    page, page_size = (_integer(queries.get(name)) for name in ("page", "page_size"))
    if page is None:
        return None
    if page < 1 or not 1 <= (PAGE_ROWS if page_size is None else page_size) <= PAGE_ROWS_MAX:
        said = "undefined" if page_size is None else page_size
        reason = f"Invalid pagination parameters: page number {page}, page size {said}"
        raise Refusal(400, "invalid_pagination_parameters", reason)
    size = PAGE_ROWS if page_size is None else page_size
    return Pages(page, size, queries.get("name", ""), queries.get("use_regex") == "true")


def _integer(text: str | None) -> int | None:
    if text is None:
        return None
    if _INTEGER.fullmatch(text) is None:
        raise BadRequest(INVALID)
    return int(text)


# ------------------------------------------------------------------ rows


def cut(rows: Sequence[Any], total_count: int, pages: Pages) -> Page:
    """The page of these rows, which were filtered and sorted. Raises Refusal if there is no such page."""
    start = (pages.page - 1) * pages.page_size
    if pages.page > 1 and start >= len(rows):
        reason = f"Page out of range, page: {pages.page} page size: {pages.page_size}, len: {len(rows)}"
        raise Refusal(400, "page_out_of_range", reason)
    return Page(list(rows[start : start + pages.page_size]), total_count, len(rows), pages)


def place_of(row: Any, way: Iterable[str]) -> tuple[int, Any]:
    """Where a row stands when sorted by this field: numbers, then truths, objects and texts; what is missing is 0."""
    value = row
    for name in way:
        value = value.get(name, 0) if isinstance(value, Mapping) else 0
    return place(value)


def place(value: Any) -> tuple[int, Any]:
    """The same for a value."""
    match value:
        case None | bool():
            return 1, "null" if value is None else str(value).lower()
        case int() | float():
            return 0, value
        case str():
            return 3, value
    return 2, json.dumps(value, sort_keys=True)


def pick(value: Any, columns: Columns) -> Any:
    """Only these fields of an object, of each in a list; what has no fields stays whole."""
    match value:
        case Mapping():
            return {
                name: value[name] if inside is None else pick(value[name], inside)
                for name, inside in columns.items()
                if name in value
            }
        case list() | tuple():
            return [pick(one, columns) for one in value]
    return value
