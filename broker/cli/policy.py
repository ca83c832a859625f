"""`warren policy`: set, list, clear and apply policies.

Decides how a policy is written on a command line. What is wrong with one is said here already, in RabbitMQ's words, by
the code that the nodes use, too.
"""

import json
from pathlib import Path
from typing import Any

import click

from broker.cli.failures import Misused
from broker.cli.lazy_group import LazyGroup
from broker.cli.options import print_json, with_cluster, with_json, with_vhost
from broker.cli.road import Road
from broker.cli.tables import print_table
from broker.node.configuration import Cluster, ConfigurationError

COMMANDS = {
    "set": ("broker.cli.policy:set_policy", "Set a policy, or replace it."),
    "list": ("broker.cli.policy:list_policies", "List the policies."),
    "clear": ("broker.cli.policy:clear_policy", "Remove a policy."),
    "apply": ("broker.cli.policy:apply_policies", "Set the policies of a file, or a ready-made one."),
    "preview": ("broker.cli.preview:preview", "Show what a file of policies would change."),
}
COLUMNS = ("vhost", "name", "pattern", "apply-to", "priority", "definition", "kind")


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    epilog="""Example: warren policy set two '^orders' '{"ha-mode":"exactly","ha-params":2}'""",
)
def policy() -> None:
    """Policies: which queues are mirrored where, and their limits."""


@click.command(
    "set", epilog="""Example: warren policy set all '' '{"ha-mode": "all"}' --priority 1 --apply-to queues"""
)
@click.argument("name")
@click.argument("pattern")
@click.argument("definition")
@click.option("--priority", default="0", show_default=True, help="The highest that matches wins.")
@click.option("--apply-to", default="all", show_default=True, help="queues, exchanges or all.")
@click.option("--operator", is_flag=True, help="An operator policy: it merges with the others instead of competing.")
@with_vhost
@with_cluster
def set_policy(
    cluster: Cluster,
    name: str,
    pattern: str,
    definition: str,
    priority: str,
    apply_to: str,
    vhost: str,
    *,
    operator: bool,
) -> None:
    """Set a policy, or replace the one of that name. DEFINITION is JSON, as {"ha-mode": "all"}."""
    value = {
        "vhost": vhost,
        "name": name,
        "pattern": pattern,
        "apply-to": apply_to,
        "priority": _number(priority),
        "definition": _definition(definition),
    }
    _check(value, operator=operator)
    Road(cluster).ask_any({"do": "change", "request": {"do": "put_policy", **value, "operator": operator}})
    click.echo(f"set {'operator ' if operator else ''}policy {name} for vhost {vhost}")


@click.command("list", epilog="Example: warren policy list --json")
@with_cluster
@with_json
def list_policies(cluster: Cluster, *, as_json: bool) -> None:
    """List the policies and operator policies of every vhost."""
    found = fetch_policies(Road(cluster))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            one["vhost"],
            one["name"],
            one["pattern"],
            one["apply-to"],
            one["priority"],
            json.dumps(one["definition"]),
            kind,
        ]
        for kind, key in (("policy", "policies"), ("operator", "operator_policies"))
        for one in found[key]
    ]
    print_table("policies", COLUMNS, rows)


def fetch_policies(road: Road) -> dict[str, list[dict[str, Any]]]:
    """All `policies` and `operator_policies`."""
    kinds = ("policies", "operator_policies")
    return {kind: road.ask_any({"do": "facts", "kind": kind})["rows"] for kind in kinds}


@click.command("clear", epilog="Example: warren policy clear two")
@click.argument("name")
@click.option("--operator", is_flag=True, help="The operator policy of that name.")
@with_vhost
@with_cluster
def clear_policy(cluster: Cluster, name: str, vhost: str, *, operator: bool) -> None:
    """Remove a policy; its queues fall back to the next one that matches."""
    request = {"do": "clear_policy", "vhost": vhost, "name": name, "operator": operator}
    Road(cluster).ask_any({"do": "change", "request": request})
    click.echo(f"cleared {'operator ' if operator else ''}policy {name} of vhost {vhost}")


@click.command("apply", epilog="Example: warren policy apply ha-all")
@click.argument("file")
@click.option("--operator", is_flag=True, help="As operator policies.")
@with_vhost
@with_cluster
def apply_policies(cluster: Cluster, file: str, vhost: str, *, operator: bool) -> None:
    """Set every policy of FILE (YAML: one, or a list of them), or the ready-made one of that name."""
    found = read(file, vhost, operator=operator)
    key = "operator_policies" if operator else "policies"
    answer = Road(cluster).ask_any({"do": "apply", key: found})
    for text in answer["set"]:
        click.echo(f"set {text}")
    if not answer["set"]:
        click.echo("nothing to set: the policies are in force already")


def read(file: str, vhost: str, *, operator: bool) -> list[dict[str, Any]]:
    """The policies that a file or a ready-made name stands for. Raises Misused."""
    from broker.node.configuration_policies import read_policies
    from policies.library import ready_made, ready_made_names

    if file in ready_made_names() and not Path(file).exists():
        value = {**ready_made(file), "vhost": vhost}
        _check(value, operator=operator)
        return [value]
    try:
        return read_policies(Path(file), vhost, operator=operator)
    except ConfigurationError as error:
        raise Misused(str(error)) from error


def _check(value: dict[str, Any], *, operator: bool) -> None:
    from policies.validation import problems

    if found := problems(value, operator=operator):
        raise Misused("\n".join(problem.text for problem in found))


def _definition(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"DEFINITION is not JSON: {error}") from error


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
