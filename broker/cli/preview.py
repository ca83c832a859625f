"""`warren policy preview`: what a file of policies would change, without changing it.

Decides by the same pure code as the nodes (matching, merging, placement), from the facts that they tell.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import click

from broker.cli.options import print_json, with_cluster, with_json, with_vhost
from broker.cli.policy import fetch_policies, read
from broker.cli.road import Road, travel
from broker.cli.status import fetch_status
from broker.cli.tables import print_table
from broker.cli.vocabulary import QueueRow, Status
from broker.node.configuration import Cluster
from policies.effective import effective
from policies.keys import QUEUES
from policies.matching import match
from policies.models import OperatorPolicy, Policy
from policies.placement import is_mirrored, place
from policies.quorum import QUORUM

COLUMNS = ("queue", "vhost", "policy now", "policy then", "master then", "mirrors now", "mirrors then", "note")


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


@click.command(epilog="Example: warren policy preview ha-two")
@click.argument("file")
@click.option("--operator", is_flag=True, help="As operator policies.")
@with_vhost
@with_cluster
@with_json
def preview(cluster: Cluster, file: str, vhost: str, *, operator: bool, as_json: bool) -> None:
    """Show which queues `warren policy apply FILE` would change, and where their copies would go."""
    fresh = read(file, vhost, operator=operator)

    async def journey(road: Road) -> tuple[Status, dict[str, Any]]:
        return await fetch_status(road), await fetch_policies(road)

    found, present = travel(journey, cluster)
    own = [Policy.from_json(one) for one in _overlaid(present["policies"], [] if operator else fresh)]
    imposed = [
        OperatorPolicy.from_json(one) for one in _overlaid(present["operator_policies"], fresh if operator else [])
    ]
    running = [node["name"] for node in found["nodes"] if node["state"] == "running"]
    changes = [change for row in found["queues"] if (change := foresee(row, own, imposed, running)) is not None]
    if as_json:
        print_json({"changes": [change._asdict() for change in changes]})
    elif changes:
        print_table("what would change", COLUMNS, changes)
    else:
        click.echo("no queue would change")


def foresee(
    row: QueueRow, policies: Sequence[Policy], operator_policies: Sequence[OperatorPolicy], running: Sequence[str]
) -> Change | None:
    """What would become of a queue under these policies; None: nothing would change."""
    name, vhost, master = row["name"], row["vhost"], row["master"]
    policy = match([one for one in policies if one.vhost == vhost], QUEUES, name)
    imposed = match([one for one in operator_policies if one.vhost == vhost], QUEUES, name)
    definition = effective({}, policy, imposed).definition
    mirrors = row["mirrors"]
    then: list[str] | None = None
    master_then, notes = master, []
    if row["type"] == QUORUM:
        then = mirrors
    elif is_mirrored(definition) and master is not None:
        placed = place(definition, master, mirrors or [], row["in_sync"] or [], running, Random())
        master_then, then = placed.master, list(placed.mirrors)
        if definition["ha-mode"] == "exactly" and set(then) - set(mirrors or []) and len(then) + 1 < len(running):
            notes.append("new mirrors are chosen by chance")
        if master_then != master:
            notes.append(f"the master moves, the copy on {master} is dropped")
    if dropped := sorted(set(mirrors or []) - set(then or []) - {master_then}):
        notes.append(f"{'copies' if len(dropped) > 1 else 'copy'} on {', '.join(dropped)} dropped")
    limit, messages = definition.get("max-length"), row["messages"]
    if limit is not None and messages is not None and messages > limit:
        notes.append(f"{messages - limit} messages are over max-length")
    change = Change(
        name, vhost, row["policy"], policy.name if policy else None, master_then, mirrors, then, "; ".join(notes)
    )
    same = change.policy_now == change.policy_then and sorted(mirrors or []) == sorted(then or []) and not notes
    return None if same and (mirrors is None) == (then is None) else change


def _overlaid(present: list[dict[str, Any]], fresh: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The policies as they would be: one of the same vhost and name is replaced."""
    return list({(one["vhost"], one["name"]): one for one in [*present, *fresh]}.values())
