"""Parameters of components in a virtual host, and global ones: set, clear, list.

Decides what is asked and printed. The leader says what is wrong with a parameter, in RabbitMQ's words.
"""

import click

from broker.cli.ctl import output
from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.documents import read_value
from broker.cli.ctl.failures import NO_PARAMETER, no_vhost


@ctl_command(
    "set_parameter",
    "[--vhost <vhost>] <component_name> <name> <value>",
    example="""-p shop vhost-limits limits '{"max-queues": 100}'""",
)
@click.argument("component")
@click.argument("name")
@click.argument("value")
def set_parameter(call: Call, component: str, name: str, value: str) -> None:
    """Set a parameter of a component: vhost-limits (its name is limits), or operator_policy. VALUE is JSON."""
    call.say(f'Setting runtime parameter "{name}" for component "{component}" to "{value}" in vhost "{call.vhost}" ...')
    request = {"do": "put_parameter", "vhost": call.vhost, "component": component, "name": name}
    call.change({**request, "value": read_value(value)}, not_found=no_vhost(call.vhost))
    call.done()


@ctl_command("clear_parameter", "[--vhost <vhost>] <component_name> <key>", example="-p shop vhost-limits limits")
@click.argument("component")
@click.argument("name")
def clear_parameter(call: Call, component: str, name: str) -> None:
    """Remove a parameter of a component."""
    call.say(f'Clearing runtime parameter "{name}" for component "{component}" on vhost "{call.vhost}" ...')
    request = {"do": "clear_parameter", "vhost": call.vhost, "component": component, "name": name}
    call.change(request, not_found=NO_PARAMETER)
    call.done()


@ctl_command("list_parameters", "[--vhost <vhost>] [--no-table-headers]", example="-p shop")
def list_parameters(call: Call) -> None:
    """List the parameters of components in a virtual host: its limits and operator policies."""
    call.say(f'Listing runtime parameters for vhost "{call.vhost}" ...')
    rows = [{**row, "value": output.value(row["value"])} for row in call.rows("parameters", call.vhost)]
    call.print_rows(("component", "name", "value"), rows)


@ctl_command("set_global_parameter", "<name> <value>", example="""site '{"room": 7}'""")
@click.argument("name")
@click.argument("value")
def set_global_parameter(call: Call, name: str, value: str) -> None:
    """Leave a value with the cluster under a name, for programs to find: any JSON, and definitions have it.

    cluster_name is what clients are told, and changes it.
    """
    call.say(f'Setting global runtime parameter "{name}" to "{value}" ...')
    call.change({"do": "put_global_parameter", "name": name, "value": read_value(value)})
    call.done()


@ctl_command("clear_global_parameter", "<key>", example="site")
@click.argument("name")
def clear_global_parameter(call: Call, name: str) -> None:
    """Remove a global parameter."""
    call.say(f'Clearing global runtime parameter "{name}" ...')
    call.change({"do": "clear_global_parameter", "name": name}, not_found=NO_PARAMETER)
    call.done()


@ctl_command("list_global_parameters", "[--no-table-headers]", example="--formatter json")
def list_global_parameters(call: Call) -> None:
    """List the global parameters."""
    call.say("Listing global runtime parameters ...")
    rows = [{**row, "value": output.value(row["value"])} for row in call.rows("global_parameters")]
    call.print_rows(("name", "value"), rows)
