"""Facts as tables: with rich on a terminal, as aligned plain columns into a file or a pipe.

Decides how facts look. It must not know what they mean.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

GOOD = ("running", "leader", "synchronised", "yes")
BAD = ("failed", "killed", "unreachable", "unavailable", "stopped")
UNCERTAIN = ("starting", "paused", "frozen", "waiting", "syncing", "looking", "no")


def shown(value: Any) -> str:
    """A value for people: nothing is a dash, a list is spelled out."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value) or "none"
    if isinstance(value, dict):
        return " ".join(f"{name}:{item}" for name, item in value.items()) or "-"
    return str(value)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints one table on stdout."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(rich_table(title, columns, rows))
        return
    for line in plain_table(columns, rows):
        click.echo(line)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Aligned columns under capital heads, nothing at the ends of lines."""
    texts = [[column.upper() for column in columns], *([shown(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in texts) for index in range(len(columns))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts]


def rich_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> "Table":
    """The same for a terminal, states in colour."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(shown(value), style=_style(shown(value))) for value in row))
    return table


def _style(text: str) -> str:
    if text in GOOD:
        return "green"
    if text in BAD:
        return "red"
    return "yellow" if text in UNCERTAIN else ""


def seconds(value: float | None) -> str:
    """A duration in its two largest units."""
    if value is None:
        return "-"
    whole = int(value)
    for size, unit, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // below}{smaller}"
    return f"{whole}s"


def megabytes(value: int | None) -> str:
    """Bytes as MiB."""
    return "-" if value is None else f"{value / 1048576:.0f} MiB"


def escaped(text: str) -> str:
    """As a terminal may have it: a message must not move the cursor, nor ring the bell."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogateescape").decode() for c in text)
