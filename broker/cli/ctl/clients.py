"""close_connection and close_all_connections.

Decides which connections are meant; the nodes close them, with 320 and the reason.
"""

import re
from time import sleep

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.columns import warn_of
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Exit
from broker.cli.ctl.lists import CONNECTIONS

PID = re.compile(r"<[^<>\s]+\.\d+\.\d+\.\d+>")
ASKED_MAX = 500
ASKED_MS_MAX = 5000
"""So many connections are closed for one request, and so long it may take: less than a node may take to answer."""


@ctl_command("close_connection", "<connection pid> <explanation>", example="'<n1.1.5.0>' 'maintenance'")
@click.argument("pid")
@click.argument("explanation")
def close_connection(call: Call, pid: str, explanation: str) -> None:
    """Close a client's connection, whichever node it is at. PID is from list_connections."""
    call.say(f"Closing connection {pid}, reason: {explanation}...")
    if PID.fullmatch(pid) is None:
        raise CtlFailure(Exit.UNAVAILABLE, f'{{:invalid_pid_syntax, "{pid}"}}')
    answer = call.ask({"do": "close_connections", "pids": [pid], "reason": explanation})
    if not answer["closed"]:
        click.echo(f"Warning: there is no connection {pid}", err=True)
    call.done()


@ctl_command(
    "close_all_connections",
    "[--vhost <vhost> --limit <limit>] [-n <node> --global] [--per-connection-delay <delay>] <explanation>",
    example="-p / --limit 100 --per-connection-delay 50 'rebalancing'",
)
@click.argument("explanation")
@click.option("--global", "everywhere", is_flag=True, help="In all virtual hosts, at the node of --node or at all.")
@click.option("--limit", type=click.IntRange(min=0), default=0, metavar="NUMBER", help="So many at most; 0: all.")
@click.option("--per-connection-delay", "delay_ms", type=click.IntRange(min=0), default=0, metavar="MILLISECONDS")
def close_all_connections(call: Call, explanation: str, *, everywhere: bool, limit: int, delay_ms: int) -> None:
    """Close the connections to a virtual host, or to a node."""
    if everywhere:
        where = f"to {f'node {call.chosen_node}' if call.chosen_node else 'all nodes'} (across all vhosts)"
        limit = 0
    else:
        where = f"in vhost {call.vhost}"
    call.say(f"Closing {limit or 'all'} connections {where}, reason: {explanation}...")
    rows, silent = CONNECTIONS.fetch(call, ("pid", "node"), vhost=None if everywhere else call.vhost)
    meant = [row["pid"] for row in rows if not everywhere or call.chosen_node in (None, row["node"])]
    rest = meant[: limit or None]
    text = f"Closed {len(rest)} connections"
    at_once = min(ASKED_MAX, ASKED_MS_MAX // (delay_ms or 1) + 1)
    while rest:
        now, rest = rest[:at_once], rest[at_once:]
        call.ask({"do": "close_connections", "pids": now, "reason": explanation, "delay_ms": delay_ms})
        if rest:
            sleep(delay_ms / 1000)
    warn_of(silent)
    if call.is_json:
        call.print_object({"node": call.node, "result": "ok", "value": text})
    else:
        click.echo(text)
