"""What `warren top` shows: nodes, queues with their copies, and what happened last.

Decides rows, columns and how much room each part gets. It must not know how the cluster is asked.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from broker.cli.events import event_line
from broker.cli.onlooker import Look, View
from broker.cli.status import reasons
from broker.cli.tables import escaped, megabytes, plain_table, rich_table, seconds

if TYPE_CHECKING:
    from rich.console import Group

    from broker.cli.vocabulary import Status

NODE_COLUMNS: Final = ("node", "state", "role", "masters", "messages", "in/s", "out/s", "memory", "uptime")
QUEUE_COLUMNS: Final = (
    "queue", "vhost", "state", "messages", "ready", "unacked", "in/s", "out/s", "consumers", "master", "mirrors",
)  # fmt: skip
_SORTED_BY: Final = {"messages": "messages", "in": "in/s", "out": "out/s", "unacked": "unacked", "name": "queue"}
EVENTS_SHOWN: Final = 8
TROUBLES_SHOWN: Final = 5
_TABLE_LINES: Final = 4
"""What a table takes beside its rows: a line above, its heads, a rule, a line below."""
ROWS_LEAST: Final = 3


def count_of(value: int | None) -> str:
    """A number for people."""
    return "-" if value is None else f"{value:,}"


def rate_of(value: float | None) -> str:
    """A rate for people."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or not value else f"{value:.1f}"


def node_rows(look: Look) -> list[list[Any]]:
    """The nodes as rows of NODE_COLUMNS."""
    figures = look.top.get("nodes", {})
    rows = []
    for node in look.status["nodes"]:
        own = figures.get(node["name"], {})
        rows.append(
            [
                node["name"],
                node["state"],
                node["role"],
                count_of(own.get("queues")),
                count_of(own.get("messages")),
                rate_of(own.get("in_rate")),
                rate_of(own.get("out_rate")),
                megabytes(node["memory_bytes"]),
                seconds(node["uptime_s"]),
            ]
        )
    return rows


def queue_rows(look: Look, view: View, room: int) -> list[list[Any]]:
    """The queues as rows of QUEUE_COLUMNS; those that nobody serves first."""
    top = look.top
    everything = [*top.get("waiting", ()), *top.get("rows", ())]
    offset = min(view.offset, max(0, len(everything) - 1))  # who scrolls behind the end sees the last
    found = everything[offset:][:room]
    return [
        [
            escaped(row["name"]),
            escaped(row["vhost"]),
            row["state"] if row["sync_percent"] is None else f"{row['state']} {row['sync_percent']}%",
            count_of(row["messages"]),
            count_of(row["messages_ready"]),
            count_of(row["messages_unacknowledged"]),
            rate_of(row.get("in_rate")),
            rate_of(row.get("out_rate")),
            count_of(row["consumers"]),
            row["master"],
            mirrors_of(row),
        ]
        for row in found
    ]


def mirrors_of(row: dict[str, Any]) -> str:
    """Where the mirrors are; what one lacks that is not in sync stands behind it."""
    if row["mirrors"] is None:
        return "-"
    texts = []
    for node in row["mirrors"]:
        lacking = row["unsynchronised"].get(node)
        behind = "" if node in row["in_sync"] else f"(-{lacking:,})" if lacking else "(?)"
        texts.append(node + behind)
    return " ".join(texts) or "none"


def headline(look: Look, view: View) -> str:
    """The whole in a line."""
    status, figures = look.status, look.top.get("nodes", {}).values()
    running = sum(node["state"] == "running" for node in status["nodes"])
    rates = [[one[name] for one in figures if one[name] is not None] for name in ("in_rate", "out_rate")]
    taken, given = (rate_of(sum(values)) if values else "-" for values in rates)
    queues = sum(one["queues"] for one in figures) + look.top.get("waiting_count", 0)
    messages = count_of(sum(one["messages"] for one in figures))
    chosen = f" with '{view.text}'" if view.text else ""
    noun = "queue" if queues == 1 else "queues"
    return (
        f"{status['cluster']}: {running} of {len(status['members'])} nodes run, {count_of(queues)} {noun}, "
        f"{messages} messages, in {taken}/s, out {given}/s; by {view.sort}{chosen}"
    )


def troubles(look: Look) -> list[str]:
    """What is not as it should be."""
    lines = reasons(look.status)
    if count := look.top.get("waiting_count", 0):
        lines.append(f"queues without a master: {count_of(count)}")
    if silent := look.top.get("silent", ()):
        lines.append(f"did not tell of their queues: {' '.join(silent)}")
    return [*lines, *([look.trouble] if look.trouble else [])]


def plain(look: Look, view: View, room: int) -> list[str]:
    """One look as lines, into a pipe or a file."""
    lines = [headline(look, view), "", *plain_table(NODE_COLUMNS, node_rows(look))]
    if rows := queue_rows(look, view, room):
        lines += ["", *plain_table(QUEUE_COLUMNS, rows)]
    lines += [*([""] if (told := troubles(look)) else []), *told]
    events = look.events[-EVENTS_SHOWN:]
    return [*lines, *([""] if events else []), *map(event_line, events)]


def queue_room(status: "Status | None", height: int) -> int:
    """How many queues have room on a screen of this height, when all is well."""
    nodes = 3 if status is None else len(status["nodes"])
    return max(ROWS_LEAST, height - _around(nodes, 0) - EVENTS_SHOWN)


def _around(nodes: int, told: int) -> int:
    """The lines beside queues and events: the headline, what is told, both tables' heads, the nodes, the keys."""
    return 2 + told + nodes + 2 * _TABLE_LINES


def screen(look: Look, view: View, height: int) -> "Group":
    """The same for a terminal of this height; if that is small the events go first."""
    from rich.console import Group

    told = [_line(line, "yellow") for line in troubles(look)[:TROUBLES_SHOWN]]
    room = height - _around(len(look.status["nodes"]), len(told))
    rows = queue_rows(look, view, max(ROWS_LEAST, room - EVENTS_SHOWN))
    columns = [f"{name} ▾" if name == _SORTED_BY[view.sort] else name for name in QUEUE_COLUMNS]
    queues, nodes = rich_table("", columns, rows), rich_table("", NODE_COLUMNS, node_rows(look))
    for table, heads in ((nodes, NODE_COLUMNS), (queues, QUEUE_COLUMNS)):
        _arrange(table, heads)
    left = min(EVENTS_SHOWN, max(0, room - len(rows)))
    events = [_line(event_line(one), "dim") for one in look.events[-left:]] if left else []
    return Group(_line(headline(look, view), "bold"), *told, nodes, queues, *events, _keys(view))


def _line(text: str, style: str) -> Any:
    from rich.text import Text

    return Text(escaped(text), style=style, no_wrap=True, overflow="ellipsis")


def _arrange(table: Any, heads: Sequence[str]) -> None:
    """Numbers stand at the right; every row takes one line."""
    numbers = ("masters", "messages", "ready", "unacked", "in/s", "out/s", "consumers", "memory")
    for column, head in zip(table.columns, heads, strict=True):
        column.no_wrap, column.overflow = True, "ellipsis"
        column.justify = "right" if head in numbers else "left"


def _keys(view: View) -> Any:
    if view.typing is not None:
        return _line(f"queues with: {view.typing}▏ (enter, esc)", "bold")
    return _line("q quit   s sort   / filter   esc all   ↑ ↓ scroll", "reverse")
