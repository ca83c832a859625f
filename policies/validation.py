"""Says what is wrong with a policy, in RabbitMQ's words.

Decides which texts `set_policy`, the HTTP API and cluster.yaml answer with. It must not know how a policy is stored or
who asks. Source: RabbitMQ 3.10, `rabbit_policy`, `rabbit_policies`, `rabbit_mirror_queue_misc` and its modes.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from policies.keys import KEYS, is_integer
from policies.models import Policy
from policies.patterns import PatternInvalid, compile_pattern

APPLY_TO = ("all", "queues", "exchanges")

_HA_COMPANIONS = ("ha-params", "ha-sync-mode", "ha-sync-batch-size", "ha-promote-on-shutdown", "ha-promote-on-failure")


class Problem(NamedTuple):
    """One fault: the field it stands in (`pattern`, `definition`, or a key of the definition) and RabbitMQ's text."""

    field: str
    text: str


class InvalidPolicy(ValueError):
    """A policy that RabbitMQ would refuse; `str()` is its whole answer, first line `Validation failed`."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        reasons = "\n".join(problem.text for problem in problems)
        super().__init__(f"Validation failed\n\n{reasons}\n")


def checked(value: Mapping[str, Any], *, operator: bool = False) -> Policy:
    """The policy that a JSON object with RabbitMQ's field names describes. Raises InvalidPolicy."""
    if found := problems(value, operator=operator):
        raise InvalidPolicy(found)
    return Policy.from_json(value)


def problems(value: Mapping[str, Any], *, operator: bool = False) -> list[Problem]:
    """Everything that is wrong with the fields of one policy, in the order pattern, apply-to, priority, definition."""
    found = [*pattern_problems(value.get("pattern", ""))]
    apply_to = value.get("apply-to", "all")
    if apply_to not in APPLY_TO:
        text = f"apply-to '{apply_to}' unrecognised; should be 'queues', 'exchanges' or 'all'"
        found.append(Problem("apply-to", text))
    priority = value.get("priority", 0)
    if not is_integer(priority) and not isinstance(priority, float):
        found.append(Problem("priority", f"priority should be a number, actually was {erlang(priority)}"))
    return found + definition_problems(value.get("definition", {}), operator=operator)


def pattern_problems(pattern: Any) -> list[Problem]:
    """What is wrong with the pattern: a regular expression, searched anywhere in the name."""
    if not isinstance(pattern, str):
        return [Problem("pattern", f"pattern should be binary, actually was {erlang(pattern)}")]
    try:
        compile_pattern(pattern)
    except PatternInvalid as invalid:
        where = f'{{"{invalid.why}",{invalid.at}}}'
        return [Problem("pattern", f"pattern should be regular expression but is invalid: {where}")]
    return []


def definition_problems(definition: Any, *, operator: bool = False) -> list[Problem]:
    """What is wrong with a definition; `operator` narrows the keys to those of operator policies."""
    if not isinstance(definition, Mapping):
        return [Problem("definition", f"definition must be a dictionary: {erlang(definition)}")]
    if not definition:
        return [Problem("definition", "no policy provided")]
    known = {name for name, key in KEYS.items() if key.operator or not operator}
    found = _mirroring_problems({name: value for name, value in definition.items() if name in known})
    for name, value in definition.items():
        if name in known and not name.startswith("ha-") and not KEYS[name].accepts(value):
            found.append(Problem(name, KEYS[name].refusal.format(erlang(value))))
    if unknown := {name: value for name, value in sorted(definition.items()) if name not in known}:
        text = f"{erlang(unknown)} are not recognised policy settings"
        found.append(Problem(str(next(iter(unknown))), text))
    return found


def _mirroring_problems(definition: dict[str, Any]) -> list[Problem]:
    """The ha keys are judged together, and without a mode none of them means anything."""
    if "ha-mode" not in definition:
        if stray := [name for name in _HA_COMPANIONS if name in definition]:
            text = "ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown"
            return [Problem(stray[0], text)]
        return []
    found = [
        Problem(name, KEYS[name].refusal.format(erlang(value)))
        for name, value in definition.items()
        if name.startswith("ha-") and name != "ha-params" and not KEYS[name].accepts(value)
    ]
    params = _params_problem(definition["ha-mode"], definition.get("ha-params"), "ha-params" in definition)
    if params is not None:
        found.append(Problem("ha-params" if "ha-params" in definition else "ha-mode", params))
    return found


def _params_problem(mode: Any, params: Any, given: bool) -> str | None:
    # RabbitMQ hands an absent ha-params to the mode as the atom `none`, and prints it so.
    shown = erlang(params) if given else "none"
    if mode == "all" and given:
        return 'ha-mode="all" does not take parameters'
    if mode == "exactly" and not (is_integer(params) and params > 0):
        return f'ha-mode="exactly" takes an integer, {shown} given'
    if mode == "nodes":
        if not isinstance(params, list):
            return f'ha-mode="nodes" takes a list, {shown} given'
        if not params:
            return 'ha-mode="nodes" list must be non-empty'
        for node in params:
            if not isinstance(node, str):
                return f'ha-mode="nodes" takes a list of strings, {erlang(node)} was not a string'
    return None


def erlang(value: Any) -> str:
    """A JSON value as RabbitMQ's texts print it: the `~p` of Erlang."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'<<"{escaped}">>'
        case Mapping():
            return "[" + ",".join(f"{{{erlang(name)},{erlang(item)}}}" for name, item in value.items()) + "]"
        case list() | tuple():
            return "[" + ",".join(erlang(item) for item in value) + "]"
        case _:
            return str(value)
