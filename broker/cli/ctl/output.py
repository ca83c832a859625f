"""What `warren ctl` prints: rows as a table, JSON, CSV or a box, and values as rabbitmqctl shows them.

Decides looks only. Source: RabbitMQ 3.10's formatters; boxes are drawn with Unicode, not with a terminal's own set.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

FORMATTERS: Final = ("table", "json", "csv", "pretty_table")
Row = Mapping[str, Any]


def shown(value: Any) -> str:
    """A value as text: true and false, nothing for what is not known, a list in brackets."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list() | tuple():
            return f"[{', '.join(shown(item) for item in value)}]"
        case Mapping():
            return compact(value)
    return str(value)


def compact(value: Any) -> str:
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def document(value: Mapping[str, Any]) -> str:
    """An object in one cell: JSON, its members in order."""
    return compact(dict(sorted(value.items())))


def sections(found: Mapping[str, Sequence[str]]) -> list[str]:
    """Blocks of lines under their titles, as rabbitmqctl has them on a pipe."""
    lines: list[str] = []
    for title, text in found.items():
        lines += ["", title, "", *(text or ["(none)"])]
    return lines[1:]


def value(value: Any) -> str:
    """Any JSON in one cell."""
    return document(value) if isinstance(value, Mapping) else compact(value)


def table(columns: Sequence[str], rows: Sequence[Row], *, headers: bool) -> list[str]:
    """Columns between tabs; without rows no header either."""
    head = ["\t".join(columns)] if headers and rows else []
    return head + ["\t".join(escaped(shown(row.get(column))) for column in columns) for row in rows]


def escaped(text: str) -> str:
    """Without the characters that would break a table; RabbitMQ lets them break it."""
    return text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def as_json(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """An array with one object a line; what is not known is left out of none."""
    if not rows:
        return ["[]"]
    objects = [compact({column: row.get(column) for column in columns}) for row in rows]
    return ["[", objects[0], *(f",{one}" for one in objects[1:]), "]"]


def as_csv(columns: Sequence[str], rows: Sequence[Row], *, headers: bool) -> list[str]:
    """Every value in quotes."""
    if not rows:
        return []
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    if headers:
        writer.writerow(columns)
    for row in rows:
        writer.writerow([shown(row.get(column)) for column in columns])
    return out.getvalue().splitlines()


def box(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """A drawn table."""
    lines = [list(columns), *([escaped(shown(row.get(column))) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]

    def rule(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (width + 2) for width in widths) + right

    def drawn(line: Sequence[str]) -> str:
        cells = (f" {text.ljust(width)} " for text, width in zip(line, widths, strict=True))
        return "│" + "│".join(cells) + "│"

    out = [rule("┌", "┬", "┐")]
    for line in lines:
        out += [drawn(line), rule("├", "┼", "┤")]
    return [*out[:-1], rule("└", "┴", "┘")]
