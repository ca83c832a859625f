"""report: everything that the other commands show, for whoever is to find out what is wrong.

Decides which commands, in which order, and with which columns: all of them.
"""

import click

from broker.cli.ctl.call import Call, Settings
from broker.cli.ctl.cluster import cluster_status
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import Misuse
from broker.cli.ctl.lists import (
    BINDINGS,
    CHANNELS,
    CONNECTIONS,
    EXCHANGES,
    QUEUES,
    list_bindings,
    list_channels,
    list_connections,
    list_exchanges,
    list_queues,
)
from broker.cli.ctl.parameters import list_global_parameters, list_parameters
from broker.cli.ctl.permissions import list_permissions
from broker.cli.ctl.policies import list_operator_policies, list_policies
from broker.cli.ctl.status import environment, status


@ctl_command("report", example="--node n1 > report.txt")
def report(call: Call) -> None:
    """Show the status of a node and of the cluster, its settings, clients, and what is in every virtual host."""
    if not call.is_plain:
        raise Misuse("Only report formatter is supported")
    context = click.get_current_context()
    settings = context.ensure_object(Settings)
    vhosts = [row["name"] for row in call.rows("vhosts")]
    call.say(f"Reporting server status of node {call.node} ...")
    for command in (status, cluster_status, environment, list_global_parameters):
        _show(context, command)
    for command, listing in ((list_connections, CONNECTIONS), (list_channels, CHANNELS)):
        _show(context, command, columns=tuple(listing.fields))
    for settings.vhost in vhosts:
        _show(context, list_queues, columns=tuple(QUEUES.fields), online=False, offline=False, local=False)
        _show(context, list_exchanges, columns=tuple(EXCHANGES.fields))
        _show(context, list_bindings, columns=tuple(BINDINGS.fields))
        for command in (list_permissions, list_policies, list_operator_policies, list_parameters):
            _show(context, command)


def _show(context: click.Context, command: click.Command, **arguments: object) -> None:
    click.echo()
    assert command.callback is not None
    context.invoke(command.callback, **arguments)
