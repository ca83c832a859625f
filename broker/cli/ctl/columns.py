"""Lists of which a user chooses the columns: which there are, which are shown, and how a row becomes cells.

Decides the columns' names, which are rabbitmqctl's, and from which field of the HTTP API's rows each comes. It must not
know how a table is drawn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from broker.cli.ctl import terms
from broker.cli.ctl.call import Call
from broker.cli.ctl.failures import Denied, Misuse

Row = dict[str, Any]


def alike(names: str) -> dict[str, str]:
    """Columns that have the names of their fields."""
    return {name: name for name in names.split()}


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of rows. `fields`: by column the field; `a.b` is b within a, `=a` always a."""

    kind: str
    fields: Mapping[str, str]
    default: Sequence[str]

    def chosen(self, given: Iterable[str]) -> list[str]:
        """The columns that were asked for, each once; words may be joined by commas. Raises Misuse."""
        names = list(dict.fromkeys(name for word in given for name in word.replace(",", " ").split()))
        unknown = [name for name in names if name not in self.fields]
        if unknown:
            raise Misuse(f"Info key(s) {','.join(unknown)} are not supported")
        return names or list(self.default)

    def fetch(self, call: Call, columns: Iterable[str], *also: str, vhost: str | None) -> tuple[list[Row], list[str]]:
        """The rows of a virtual host (none if there is no such) or of all, and who did not tell theirs in time.

        They have what these columns need, and `also` these fields.
        """
        paths = [self.fields[column] for column in columns]
        fields = sorted({*also, *(path.partition(".")[0] for path in paths if not path.startswith("="))})
        request = {"do": "facts", "kind": self.kind, "fields": fields} | ({} if vhost is None else {"vhost": vhost})
        try:
            answer = call.ask(request)
        except Denied as denied:
            if denied.code == "not_found":
                return [], []
            raise
        return answer["rows"], answer["silent"]

    def show(self, call: Call, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Print these columns of them."""
        show = _for_programs if call.is_json else _for_people
        cells = [{column: show(column, _found(row, self.fields[column])) for column in columns} for row in rows]
        call.print_rows(columns, cells, streamed=True)


def warn_of(silent: Iterable[str]) -> None:
    """What is shown is not all."""
    for node in silent:
        click.echo(f"Warning: rabbit@{node} did not answer in time: what only it knows is missing", err=True)


def _found(row: Row, path: str) -> Any:
    if path.startswith("="):
        return path[1:]
    value: Any = row
    for name in path.split("."):
        value = value.get(name)
        if value is None:
            return None
    return value


_TABLES = ("arguments", "client_properties")


def _for_people(column: str, value: Any) -> Any:
    if value is None:
        return ""
    if column in _TABLES or column == "effective_policy_definition":
        return terms.text_of(value)
    if column == "protocol":
        return "{" + ",".join(map(str, terms.version_of(value))) + "}"
    return value


def _for_programs(column: str, value: Any) -> Any:
    if value is None:
        return ""
    if column in _TABLES:
        return terms.typed(value)
    return terms.version_of(value) if column == "protocol" else value
