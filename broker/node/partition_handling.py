"""`partition_handling`: what nodes do that cannot hear the others (RabbitMQ's cluster_partition_handling).

Decides in words and numbers what the mode means to people: how many nodes have to be there, and whether two sides are
brought together again by themselves. It must not know how nodes agree: of that the rule decides (`cluster.partitions`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from broker.cluster.partitions import AUTO, AUTOHEAL, IGNORE, PAUSE_IF_ALL_DOWN, PAUSE_MINORITY, QuorumRule

WORDS = (AUTO, PAUSE_MINORITY, AUTOHEAL, IGNORE)
RECOVERIES = (AUTOHEAL, IGNORE)
EXAMPLE = "{mode: pause_if_all_down, nodes: [n1], recover: autoheal}"


@dataclass(frozen=True, slots=True)
class PartitionHandling:
    """A mode; `nodes` and `recover` are those of pause_if_all_down. `auto` follows the number of members."""

    mode: str = AUTO
    nodes: tuple[str, ...] = ()
    recover: str = ""

    @classmethod
    def parse(cls, value: Any) -> "PartitionHandling":
        """What a file says. Raises ValueError that says what would be right."""
        if isinstance(value, cls):
            return value
        if value == PAUSE_IF_ALL_DOWN:
            raise ValueError(f"needs the nodes of which one has to be there: use {EXAMPLE}")
        if isinstance(value, Mapping):
            return cls._parse_mapping(value)
        if value not in WORDS:
            raise ValueError(f"must be {', '.join(WORDS)} or {EXAMPLE}")
        return cls(value)

    @classmethod
    def _parse_mapping(cls, value: Mapping[str, Any]) -> "PartitionHandling":
        mode, nodes, recover = (value.get(key) for key in ("mode", "nodes", "recover"))
        if unknown := sorted(str(key) for key in value.keys() - {"mode", "nodes", "recover"}):
            raise ValueError(f"unknown key {unknown[0]}: use {EXAMPLE}")
        if mode in WORDS:
            raise ValueError(f"{mode} has no nodes: use partition_handling: {mode}")
        if mode != PAUSE_IF_ALL_DOWN:
            raise ValueError(f"mode must be {PAUSE_IF_ALL_DOWN}: use {EXAMPLE}")
        if not (isinstance(nodes, list) and nodes and all(isinstance(name, str) for name in nodes)):
            raise ValueError(f"nodes must be a list of node names: use {EXAMPLE}")
        if recover not in RECOVERIES:
            what = "is missing" if recover is None else f"is {recover!r}"
            raise ValueError(f"recover {what}: must be {' or '.join(RECOVERIES)}")
        return cls(mode, tuple(name.removeprefix("rabbit@") for name in nodes), recover)

    @property
    def rule(self) -> QuorumRule:
        """By which the members agree."""
        return QuorumRule(self.mode, self.nodes)

    def in_effect(self, members: Collection[str]) -> str:
        """The mode, with `auto` resolved for these members."""
        if self.mode != AUTO:
            return self.mode
        return AUTOHEAL if self.rule.wants_view(members) else PAUSE_MINORITY

    def heals(self, members: Collection[str]) -> bool:
        """Whether two sides that both went on become one again by themselves."""
        return AUTOHEAL in (self.in_effect(members), self.recover)

    def needed(self, members: Collection[str]) -> int:
        """How many nodes at least have to be there before any of them serves."""
        return 1 if self.rule.wants_view(members) else len(members) // 2 + 1

    def preferred(self, members: Collection[str]) -> list[str]:
        """Of these one has to be there, if there are any: those of the list that are members."""
        return [name for name in self.nodes if name in members]

    def may_serve(self, up: Collection[str], members: Collection[str]) -> bool:
        """Whether these are enough to serve, as far as their number and names say it."""
        preferred = self.preferred(members)
        return len(up) >= self.needed(members) and (not preferred or any(name in up for name in preferred))

    def prospects(self, up: Collection[str], members: Collection[str], ready: Collection[str]) -> str:
        """One line: whether those who are up go on without the rest; of them, `ready` have served clients already."""
        how = f"(partition_handling: {self.in_effect(members)})"
        names, several = " and ".join(up), len(up) != 1
        if not self.rule.wants_view(members):
            if self.may_serve(up, members):
                return f"{names} {'have' if several else 'has'} a majority"
            missing = self.needed(members) - len(up)
            return (
                f"no majority is left: {len(up)} of {len(members)} run, {missing} more "
                f"{'is' if missing == 1 else 'are'} needed before clients are served {how}"
            )
        if not up:
            return f"none of {len(members)} nodes runs"
        if not self.may_serve(up, members):
            return f"{names} {'pause' if several else 'pauses'} until {' or '.join(self.preferred(members))} runs {how}"
        if not any(name in ready for name in up):
            return f"{names} {'start' if several else 'starts'}, and may have to wait for who ran last {how}"
        return f"{names} {'go' if several else 'goes'} on {how}"

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {"mode": self.mode, "nodes": list(self.nodes), "recover": self.recover}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "PartitionHandling":
        """The reverse of as_json; trusts it."""
        return cls(value["mode"], tuple(value["nodes"]), value["recover"])
