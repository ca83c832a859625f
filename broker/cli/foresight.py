"""What would become of a queue under other policies, worked out from what `status` says of it.

Decides by the same pure code as the nodes: matching, merging, placement. What a policy would cost is told in words.
"""

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from broker.cli.vocabulary import QueueRow
from policies.effective import merge
from policies.keys import QUEUES
from policies.matching import match, strange_keys
from policies.models import OperatorPolicy, Policy
from policies.placement import is_mirrored, place, relieved
from policies.quorum import QUORUM


class Change(NamedTuple):
    """What would become of one queue."""

    queue: str
    vhost: str
    policy_now: str | None
    policy_then: str | None
    master_then: str | None
    mirrors_now: list[str] | None
    mirrors_then: list[str] | None
    note: str


class Rules(NamedTuple):
    """All policies of a cluster, as they are or as they would be."""

    own: Sequence[Policy]
    imposed: Sequence[OperatorPolicy] = ()

    def of(self, row: QueueRow) -> tuple[str | None, dict[str, Any]]:
        """The policy of a queue, and what all that holds for it comes to."""
        own, imposed = (
            match([one for one in rules if one.vhost == row["vhost"]], QUEUES, row["name"], row["type"])
            for rules in (self.own, self.imposed)
        )
        return own.name if own else None, {key: setting.value for key, setting in merge(own, imposed).items()}

    def passed_over(self, row: QueueRow) -> Policy | None:
        """A policy that would hold for the queue if it were of another type."""
        here = [one for one in self.own if one.vhost == row["vhost"]]
        named = match(here, QUEUES, row["name"])
        return named if named is not None and strange_keys(named.definition, row["type"]) else None


class Nodes(NamedTuple):
    """Who runs, and who of them is in maintenance."""

    running: Sequence[str]
    drained: Collection[str] = ()


def foresee(row: QueueRow, now: Rules, then: Rules, nodes: Nodes) -> Change | None:
    """What would become of a queue under the policies of `then`; None: nothing would change."""
    policy, definition = then.of(row)
    _, before = now.of(row)
    mirrors = row["mirrors"]
    master, mirrors_then = _placed(row, definition, nodes)
    notes = [*_copies(row, definition, master, mirrors_then, nodes), *_costs(row, before, definition)]
    strange = then.passed_over(row)
    if strange is not None and strange not in now.own:
        keys = ", ".join(strange_keys(strange.definition, row["type"]))
        notes.append(f"policy {strange.name} does not count for a {row['type']} queue, because of {keys}")
    change = Change(row["name"], row["vhost"], row["policy"], policy, master, mirrors, mirrors_then, "; ".join(notes))
    same = row["policy"] == policy and definition == before and sorted(mirrors or []) == sorted(mirrors_then or [])
    return None if same and not notes and (mirrors is None) == (mirrors_then is None) else change


def _placed(row: QueueRow, definition: Mapping[str, Any], nodes: Nodes) -> tuple[str | None, list[str] | None]:
    """Master and mirrors; None for mirrors of a queue that has none."""
    master, mirrors, in_sync = row["master"], row["mirrors"], row["in_sync"] or []
    if row["type"] == QUORUM:
        return master, mirrors
    if master is None or not is_mirrored(definition):
        return master, None
    placed = place(definition, master, mirrors or [], in_sync, nodes.running, Random())
    placed = relieved(placed, in_sync, nodes.drained)
    return placed.master, list(placed.mirrors)


def _copies(
    row: QueueRow, definition: Mapping[str, Any], master: str | None, then: list[str] | None, nodes: Nodes
) -> list[str]:
    now, notes = set(row["mirrors"] or []), []
    fresh = set(then or []) - now
    if definition.get("ha-mode") == "exactly" and fresh and len(then or []) + 1 < len(nodes.running):
        notes.append("new mirrors are chosen by chance")
    if master != row["master"]:
        notes.append(
            "the master moves" + ("" if row["master"] in fresh else f", the copy on {row['master']} is dropped")
        )
    if dropped := sorted(now - set(then or []) - {master}):
        notes.append(f"{'copies' if len(dropped) > 1 else 'copy'} on {', '.join(dropped)} dropped")
    return notes


def _costs(row: QueueRow, before: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    """What would be lost at once, or later."""
    notes = []
    lost = "go to the dead letters" if "dead-letter-exchange" in then else "are lost"
    keeps = str(then.get("overflow", "drop-head")).startswith("reject-publish")
    for key, count, unit in (
        ("max-length", row["messages_ready"], "messages"),
        ("max-length-bytes", row["message_bytes"], "bytes"),
    ):
        limit = then.get(key)
        if limit is not None and count is not None and count > limit:
            over = f"{count - limit} {unit} are over {key}"
            notes.append(f"{over}: publishes are refused until they are gone" if keeps else f"{over} and {lost}")
    for key, text in (
        ("message-ttl", "messages older than {} ms " + lost),
        ("expires", "the queue is deleted after {} ms without use"),
    ):
        if key in then and then[key] != before.get(key):
            notes.append(text.format(then[key]))
    return notes
