"""The API's reference for people: /api/index.html, made from the table of routes.

Decides how the table looks. It must not know what a resource does.
"""

import html
from collections.abc import Iterable
from importlib.resources import files
from itertools import groupby
from string import Template

from broker.management.bodies import Body, RawBody
from broker.management.openapi import ABOUT, says
from broker.management.route import Route


def written(routes: Iterable[Route]) -> str:
    """The page."""
    parts = []
    for subject, group in groupby(sorted(routes, key=_place), _subject):
        lines = "".join(map(_line, group))
        parts.append(
            f'<h2 id="{html.escape(subject)}">{html.escape(subject)}</h2><div class="box"><table>{lines}</table></div>'
        )
    text = files(__package__).joinpath("reference.html").read_text(encoding="utf-8")
    return Template(text).substitute(about=html.escape(ABOUT), routes="".join(parts))


def _place(route: Route) -> tuple[str, str, str]:
    return _subject(route), route.path, route.method


def _subject(route: Route) -> str:
    parts = route.path.split("/")
    return parts[2] if parts[1] == "api" else parts[1]


def _line(route: Route) -> str:
    cells = [
        f"<td class=method>{route.method}</td>",
        f"<td><code>{html.escape(route.path)}</code></td>",
        f"<td>{html.escape(says(route))}{_members(route.body)}{_queries(route)}</td>",
        f"<td class=right>{html.escape(route.right.value)}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _members(body: type[Body] | None) -> str:
    if body is None:
        return ""
    if body is RawBody:
        return "<br><small>body: as exported</small>"
    names = [
        f"<b>{html.escape(field.alias or name)}</b>" if field.is_required() else html.escape(field.alias or name)
        for name, field in body.model_fields.items()
    ]
    return f"<br><small>body: {', '.join(names)}</small>"


def _queries(route: Route) -> str:
    names = ", ".join(html.escape(query.name) for query in route.queries)
    return f"<br><small>queries: {names}</small>" if names else ""
