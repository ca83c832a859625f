"""Joins a queue's own arguments, its policy and its operator policy into the settings in force, each with its source.

Decides who prevails, by the columns of `keys.KEYS`. It must not know what a setting does, nor which policy matched.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from policies.keys import KEYS

ARGUMENT = "argument"
POLICY = "policy"
OPERATOR_POLICY = "operator policy"


class Definition(Protocol):
    """What is asked of a policy here: its definition."""

    @property
    def definition(self) -> Mapping[str, Any]: ...


class Setting(NamedTuple):
    """One setting in force and who gave it: ARGUMENT, POLICY, OPERATOR_POLICY, or `policy and operator policy`."""

    value: Any
    source: str


class Effective(NamedTuple):
    """What holds for one queue."""

    definition: dict[str, Any]
    """Policy and operator policy merged, without the arguments: RabbitMQ's `effective_policy_definition`."""
    settings: dict[str, Setting]
    """By policy key, for every key that somebody gave; `value` adds the defaults."""

    def value(self, key: str) -> Any:
        """The value in force for a policy key, its default (mostly None) if nobody gave one."""
        setting = self.settings.get(key)
        return KEYS[key].default if setting is None else setting.value

    @property
    def is_mirrored(self) -> bool:
        """Whether a policy asks for copies; an exclusive queue is never mirrored all the same."""
        return "ha-mode" in self.settings


def effective(arguments: Mapping[str, Any], policy: Definition | None, operator_policy: Definition | None) -> Effective:
    """The settings in force for a queue declared with these x-arguments under these two policies."""
    merged = merge(policy, operator_policy)
    settings = dict(merged)
    for name, key in KEYS.items():
        given = arguments.get(key.argument) if key.argument is not None else None
        # An argument that means nothing here (an unknown locator) is passed over: the next source is asked.
        if given is None or not key.accepts(given):
            continue
        ruled = merged.get(name)
        if ruled is None or key.argument_merge is None or key.argument_merge(given, ruled.value) == given:
            settings[name] = Setting(given, ARGUMENT)
    return Effective({name: setting.value for name, setting in merged.items()}, settings)


def merge(policy: Definition | None, operator_policy: Definition | None) -> dict[str, Setting]:
    """The union of both definitions; a key in both is joined as its row in `keys.KEYS` says."""
    merged: dict[str, Setting] = {}
    own = policy.definition if policy is not None else {}
    imposed = operator_policy.definition if operator_policy is not None else {}
    for name, value in own.items():
        merged[name] = Setting(value, POLICY)
    for name, value in imposed.items():
        if name not in own or name not in KEYS:
            merged[name] = Setting(value, OPERATOR_POLICY)
            continue
        joined = KEYS[name].merge(own[name], value)
        if joined == value:
            source = OPERATOR_POLICY if own[name] != value else f"{POLICY} and {OPERATOR_POLICY}"
            merged[name] = Setting(joined, source)
    return merged
