"""Turns the entries of `policies:` into policies: ready-made ones by name, files, and those written in place.

Decides what an entry may be and where a fault in it is reported; what is wrong with a policy, `policies.validation`
says.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from broker.node.configuration import ConfigurationError
from broker.node.configuration_file import Document, Place, read_document
from policies.keys import KEYS
from policies.library import ready_made, ready_made_names
from policies.models import OperatorPolicy, Policy
from policies.validation import problems

_FIELDS = ("vhost", "name", "pattern", "apply-to", "priority", "definition")
_REQUIRED = ("name", "pattern", "definition")


def expand_policies(
    document: Document, folder: Path, value: Mapping[str, Any], vhosts: tuple[str, ...]
) -> tuple[tuple[Policy, ...], tuple[OperatorPolicy, ...]]:
    """The policies and operator policies of a cluster.yaml; complains in the document."""
    own = [
        Policy.from_json(entry)
        for entry in _expand(document, ("policies",), folder, value.get("policies") or [], vhosts, operator=False)
    ]
    entries = value.get("operator_policies") or []
    imposed = [
        OperatorPolicy.from_json(entry)
        for entry in _expand(document, ("operator_policies",), folder, entries, vhosts, operator=True)
    ]
    return tuple(own), tuple(imposed)


def read_policies(path: Path, vhost: str = "/", *, operator: bool = False) -> list[dict[str, Any]]:
    """The policies of a file of its own: one, or a list of them. Raises ConfigurationError."""
    document = read_document(path)
    found = list(_from_file(document, (vhost,), operator=operator))
    document.check()
    return found


def _expand(
    document: Document, place: Place, folder: Path, entries: list[Any], vhosts: tuple[str, ...], *, operator: bool
) -> Iterable[dict[str, Any]]:
    seen: dict[tuple[str, str], Place] = {}
    for index, entry in enumerate(entries):
        here = (*place, index)
        for policy in _entry(document, here, folder, entry, vhosts, operator=operator):
            identity = (policy["vhost"], policy["name"])
            if policy["vhost"] not in vhosts:
                text = f"there is no vhost {policy['vhost']!r}: add it to vhosts ({', '.join(vhosts)})"
                document.complain((*here, "vhost"), text)
            elif seen.setdefault(identity, here) != here:
                text = f"policy {policy['name']!r} of vhost {policy['vhost']!r} stands here a second time"
                document.complain(here, text)
            else:
                yield policy


def _entry(
    document: Document, place: Place, folder: Path, entry: Any, vhosts: tuple[str, ...], *, operator: bool
) -> Iterable[dict[str, Any]]:
    if isinstance(entry, dict):
        checked = _checked(document, place, entry, "/", operator=operator)
        return [checked] if checked is not None else []
    if not isinstance(entry, str):
        document.complain(place, f"{entry!r}: must be the name of a ready-made policy, a file, or a mapping")
        return []
    if entry in ready_made_names():
        fields = ready_made(entry)
        if operator and problems(fields, operator=True):
            document.complain(place, f"{entry!r} has keys that an operator policy must not set")
            return []
        return [{**fields, "vhost": vhost} for vhost in vhosts]
    path = folder / Path(entry).expanduser()
    if not path.is_file():
        names = ", ".join(ready_made_names())
        document.complain(place, f"{entry!r} is neither a file nor a ready-made policy ({names})")
        return []
    try:
        inner = read_document(path, entry)
    except ConfigurationError as error:
        document.adopt(place, error.problems)
        return []
    found = list(_from_file(inner, vhosts, operator=operator))
    document.adopt(place, inner.problems)
    return found


def _from_file(document: Document, vhosts: tuple[str, ...], *, operator: bool) -> Iterable[dict[str, Any]]:
    single = isinstance(document.value, dict)
    entries = [document.value] if single else document.value
    if not isinstance(entries, list) or entries == [{}]:
        document.complain((), "must be a policy or a list of policies")
        return
    for index, entry in enumerate(entries):
        place: Place = () if single else (index,)
        if not isinstance(entry, dict):
            document.complain(place, f"{entry!r}: must be a policy with name, pattern and definition")
        elif (policy := _checked(document, place, entry, vhosts[0], operator=operator)) is not None:
            yield policy


def _checked(
    document: Document, place: Place, entry: dict[str, Any], vhost: str, *, operator: bool
) -> dict[str, Any] | None:
    before = len(document.problems)
    for field in entry:
        if field not in _FIELDS:
            document.complain((*place, field), f"unknown key (known: {', '.join(_FIELDS)})")
    for field in _REQUIRED:
        if field not in entry:
            document.complain((*place, field), "is missing")
    for field in ("name", "vhost"):
        if field in entry and (not isinstance(entry[field], str) or not entry[field]):
            document.complain((*place, field), f"{entry[field]!r}: must be a text that is not empty")
    for problem in problems(entry, operator=operator) if set(_REQUIRED) <= set(entry) else []:
        inside = problem.field not in _FIELDS
        spot = (*place, "definition", problem.field) if inside else (*place, problem.field)
        keys = [name for name, key in KEYS.items() if key.operator or not operator]
        known = f" (known: {', '.join(keys)})" if inside and problem.field not in keys else ""
        document.complain(spot, problem.text + known)
    if len(document.problems) > before:
        return None
    return {"vhost": vhost, "apply-to": "all", "priority": 0, **entry}
