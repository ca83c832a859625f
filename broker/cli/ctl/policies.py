"""Policies and operator policies: set, clear, list.

Decides what is asked and printed. The leader says what is wrong with a policy, in RabbitMQ's words.
"""

from collections.abc import Callable

import click

from broker.cli.ctl import output
from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.documents import read_document
from broker.cli.ctl.failures import NO_PARAMETER, Misuse, no_vhost

COLUMNS = ("vhost", "name", "pattern", "apply-to", "definition", "priority")
SET_SYNOPSIS = "[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> <definition>"

Function = Callable[..., None]


def _described(command: Function) -> Function:
    """What a policy is made of, whoever imposes it."""
    for parameter in (
        click.option("--apply-to", default="all", show_default=True, help="queues, exchanges or all."),
        click.option("--priority", default=0, show_default=True, help="The highest that matches wins."),
        click.argument("definition"),
        click.argument("pattern"),
        click.argument("name"),
    ):
        command = parameter(command)
    return command


@ctl_command("set_policy", SET_SYNOPSIS, example="""two '^orders' '{"ha-mode": "exactly", "ha-params": 2}'""")
@_described
def set_policy(call: Call, name: str, pattern: str, definition: str, priority: int, apply_to: str) -> None:
    """Set a policy, or replace the one of that name."""
    _set(call, "policy", (name, pattern, definition, priority, apply_to), operator=False)


@ctl_command("set_operator_policy", SET_SYNOPSIS, example="""roof '.*' '{"max-length": 100000}'""")
@_described
def set_operator_policy(call: Call, name: str, pattern: str, definition: str, priority: int, apply_to: str) -> None:
    """Set an operator policy: it merges with the others, and the stricter limit holds."""
    _set(call, "operator policy override", (name, pattern, definition, priority, apply_to), operator=True)


def _set(call: Call, what: str, said: tuple[str, str, str, int, str], *, operator: bool) -> None:
    name, pattern, definition, priority, apply_to = said
    call.say(
        f'Setting {what} "{name}" for pattern "{pattern}" to "{definition}" with priority "{priority}" '
        f'for vhost "{call.vhost}" ...'
    )
    value = {"pattern": pattern, "definition": read_document(definition), "priority": priority, "apply-to": apply_to}
    request = {"do": "put_policy", "vhost": call.vhost, "name": name, "operator": operator, **value}
    call.change(request, not_found=no_vhost(call.vhost))
    call.done()


@ctl_command("clear_policy", "[--vhost <vhost>] <name>", example="two")
@click.argument("name")
def clear_policy(call: Call, name: str) -> None:
    """Remove a policy; its queues fall back to the next one that matches."""
    _clear(call, "policy", name, operator=False)


@ctl_command("clear_operator_policy", "[--vhost <vhost>] <name>", example="roof")
@click.argument("name")
def clear_operator_policy(call: Call, name: str) -> None:
    """Remove an operator policy."""
    _clear(call, "operator policy", name, operator=True)


def _clear(call: Call, what: str, name: str, *, operator: bool) -> None:
    call.say(f'Clearing {what} "{name}" on vhost "{call.vhost}" ...')
    call.change({"do": "clear_policy", "vhost": call.vhost, "name": name, "operator": operator}, not_found=NO_PARAMETER)
    call.done()


@ctl_command("list_policies", "[--vhost <vhost>] [--no-table-headers]", example="-p shop")
def list_policies(call: Call) -> None:
    """List the policies of a virtual host."""
    _list(call, "policies", "policies")


@ctl_command("list_operator_policies", "[--vhost <vhost>] [--no-table-headers]", example="-p shop")
def list_operator_policies(call: Call) -> None:
    """List the operator policies of a virtual host."""
    _list(call, "operator policy overrides", "operator_policies")


def _list(call: Call, what: str, kind: str) -> None:
    call.say(f'Listing {what} for vhost "{call.vhost}" ...')
    rows = [{**row, "definition": output.document(row["definition"])} for row in call.rows(kind, call.vhost)]
    call.print_rows(COLUMNS, sorted(rows, key=lambda row: row["priority"]))


@ctl_command(
    "list_policies_that_match",
    "[--vhost <vhost>] [--object-type <object-type>] <name>",
    example="--object-type exchange orders",
)
@click.argument("name")
@click.option("--object-type", default="queue", show_default=True, help="queue or exchange.")
def list_policies_that_match(call: Call, name: str, object_type: str) -> None:
    """List the policies that match a queue or an exchange, the one that is in force first."""
    from policies.keys import EXCHANGES, QUEUES
    from policies.matching import ranked
    from policies.models import Policy

    kind = {"queue": QUEUES, "exchange": EXCHANGES}.get(object_type.removesuffix("s"))
    if kind is None:
        raise Misuse("object-type should be queue or exchange")
    queues = call.rows("queues", call.vhost) if kind == QUEUES else []
    queue_type = next((row["type"] for row in queues if row["name"] == name), None)
    call.say(f"Listing policies that match {object_type.removesuffix('s')} '{name}' in vhost '{call.vhost}' ...")
    found = ranked(map(Policy.from_json, call.rows("policies", call.vhost)), kind, name, queue_type)
    rows = [policy.as_json() for policy in found]
    call.print_rows(COLUMNS, [{**row, "definition": output.document(row["definition"])} for row in rows])
