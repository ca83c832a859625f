"""`warren policy preview`: what a file of policies would change, without changing it.

Decides what is asked and how the changes are shown; `foresight` works them out.
"""

from typing import Any

import click

from broker.cli.foresight import Nodes, Rules, foresee
from broker.cli.options import print_json, with_cluster, with_json, with_vhost
from broker.cli.policy import fetch_policies, read
from broker.cli.road import Road
from broker.cli.status import fetch_status
from broker.cli.tables import print_table
from broker.node.configuration import Cluster
from policies.models import OperatorPolicy, Policy

COLUMNS = ("queue", "vhost", "policy now", "policy then", "master then", "mirrors now", "mirrors then", "note")


@click.command(epilog="Example: warren policy preview ha-two")
@click.argument("file")
@click.option("--operator", is_flag=True, help="As operator policies.")
@with_vhost
@with_cluster
@with_json
def preview(cluster: Cluster, file: str, vhost: str, *, operator: bool, as_json: bool) -> None:
    """Show which queues `warren policy apply FILE` would change, and where their copies would go."""
    fresh = read(file, vhost, operator=operator)
    road = Road(cluster)
    found, present = fetch_status(road), fetch_policies(road)
    now = Rules(*_parsed(present["policies"], present["operator_policies"]))
    key = "operator_policies" if operator else "policies"
    present[key] = _overlaid(present[key], fresh)
    then = Rules(*_parsed(present["policies"], present["operator_policies"]))
    running = [node for node in found["nodes"] if node["state"] == "running"]
    nodes = Nodes([node["name"] for node in running], [node["name"] for node in running if node["maintenance"]])
    changes = [change for row in found["queues"] if (change := foresee(row, now, then, nodes)) is not None]
    if as_json:
        print_json({"changes": [change._asdict() for change in changes]})
    elif changes:
        print_table("what would change", COLUMNS, changes)
    else:
        click.echo("no queue would change")


def _parsed(
    policies: list[dict[str, Any]], operator_policies: list[dict[str, Any]]
) -> tuple[list[Policy], list[OperatorPolicy]]:
    return list(map(Policy.from_json, policies)), list(map(OperatorPolicy.from_json, operator_policies))


def _overlaid(present: list[dict[str, Any]], fresh: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The policies as they would be: one of the same vhost and name is replaced."""
    return list({(one["vhost"], one["name"]): one for one in [*present, *fresh]}.values())
