"""Finds the one policy that holds for a name.

Decides who wins among policies of one virtual host. It must not know what the keys of a definition do. Policies are
never merged with each other, only (in `effective`) with the one operator policy that matched. Source: RabbitMQ 3.10,
`rabbit_policy`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from policies.keys import KEYS
from policies.patterns import compile_pattern, matches


class Rule(Protocol):
    """What matching looks at; `models.Policy` is one, a record of the shared tree may be another."""

    @property
    def name(self) -> str: ...
    @property
    def pattern(self) -> str: ...
    @property
    def apply_to(self) -> str: ...
    @property
    def priority(self) -> float: ...
    @property
    def definition(self) -> Mapping[str, Any]: ...


R = TypeVar("R", bound=Rule)


def match(policies: Iterable[R], kind: str, name: str, queue_type: str | None = None) -> R | None:
    """The policy in force for the queue or exchange `name`; None if there is none.

    `kind` is keys.QUEUES or keys.EXCHANGES; of a queue `queue_type`, too: a policy with a key that means
    nothing to its type is passed over. The pattern is searched anywhere in the name, so an empty one matches all.
    Highest priority wins; equal ones, which RabbitMQ leaves to chance, go to the name that sorts first.
    """
    return min(_candidates(policies, kind, name, queue_type), key=_rank, default=None)


def ranked(policies: Iterable[R], kind: str, name: str, queue_type: str | None = None) -> list[R]:
    """All that match, the one in force first."""
    return sorted(_candidates(policies, kind, name, queue_type), key=_rank)


def _candidates(policies: Iterable[R], kind: str, name: str, queue_type: str | None) -> Iterator[R]:
    for policy in policies:
        if policy.apply_to not in ("all", kind) or not matches(compile_pattern(policy.pattern), name):
            continue
        if queue_type is None or not strange_keys(policy.definition, queue_type):
            yield policy


def _rank(policy: Rule) -> tuple[float, str]:
    return -policy.priority, policy.name


def strange_keys(definition: Iterable[str], queue_type: str) -> list[str]:
    """The keys of a definition that only another type of queue knows."""
    return [key for key in definition if key in KEYS and KEYS[key].queue_type not in (None, queue_type)]
