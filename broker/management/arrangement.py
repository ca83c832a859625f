"""Lists brought into the form that was asked for: what is called so, in that order, that page of it, these fields.

Decides in which pieces it is done, so that nobody waits for a long list. It must not know what the rows are of.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import trio

from broker.management import name_patterns
from broker.management.shaping import Columns, Page, Shape, cut, pick, place_of

T = TypeVar("T")

ROWS_PER_TURN = 500
"""What takes about 1 ms."""


async def shaped(value: Any, shape: Shape) -> Any:
    """An answer as it was asked for; a `Page` was arranged already. Raises Refusal."""
    if isinstance(value, list):
        value = await arranged(value, shape, _name_of, lambda row: place_of(row, shape.sort))
    if isinstance(value, Page):
        return value._replace(rows=await _picked(value.rows, shape.columns)).as_json()
    if isinstance(value, list):
        return await _picked(value, shape.columns)
    return value if shape.columns is None or value is None else pick(value, shape.columns)


async def arranged(
    items: list[T], shape: Shape, name_of: Callable[[T], str], place: Callable[[T], Any]
) -> list[T] | Page:
    """What is called so, sorted and cut; a list if no page was asked for. Raises Refusal."""
    total_count, pages = len(items), shape.pages
    if pages is not None and pages.name:
        items = await _called(items, name_of, pages.name, use_regex=pages.use_regex)
    if shape.sort:
        places = [place(item) for piece in _pieces(items) for item in await _after_others(piece)]
        await trio.lowlevel.checkpoint()
        items = [items[number] for number in sorted(range(len(items)), key=places.__getitem__)]
    if shape.reverse:
        items = items[::-1]
    return items if pages is None else cut(items, total_count, pages)


async def _called(items: list[T], name_of: Callable[[T], str], name: str, *, use_regex: bool) -> list[T]:
    names = [name_of(item) for item in items]
    if not use_regex:
        wanted = name.lower()
        return [item for item, called in zip(items, names, strict=True) if wanted in called.lower()]
    found = await name_patterns.found(name, names)
    return [item for item, is_so in zip(items, found, strict=True) if is_so]


async def _picked(rows: list[Any], columns: Columns | None) -> list[Any]:
    if columns is None:
        return rows
    return [pick(row, columns) for piece in _pieces(rows) for row in await _after_others(piece)]


def _pieces(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), ROWS_PER_TURN):
        yield items[start : start + ROWS_PER_TURN]


async def _after_others(piece: list[T]) -> list[T]:
    await trio.lowlevel.checkpoint()
    return piece


def _name_of(row: Any) -> str:
    """How RabbitMQ finds it; what has no name is not found."""
    return str(row.get("name", "")) if isinstance(row, dict) else ""
