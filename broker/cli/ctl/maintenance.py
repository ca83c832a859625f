"""drain and revive (rabbitmq-upgrade's), rebalance (rabbitmq-queues').

Decides what is asked and printed; the nodes do it.
"""

import click

from broker.cli.ctl import output
from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Exit

REBALANCE_TIMEOUT_S = 3600
HEADS = {"node": "Node name", "quorum": "Number of quorum queues", "classic": "Number of replicated classic queues"}


@ctl_command("drain", example="--node n1")
def drain(call: Call) -> None:
    """Put a node into maintenance: it serves no clients, and its masters go to mirrors that have everything.

    It stays so, also over restarts, until it is revived.
    """
    node = call.about_node()
    call.say(
        f"Will put node rabbit@{node} into maintenance mode. The node will no longer serve any client traffic!",
    )
    call.ask({"do": "drain", "node": node})
    call.done()


@ctl_command("revive", example="--node n1")
def revive(call: Call) -> None:
    """Put a node that was drained back into regular operation."""
    node = call.about_node()
    call.say(
        f"Will put node rabbit@{node} back into regular operating mode. "
        "The node will again serve client traffic and host primary queue replicas."
    )
    call.ask({"do": "revive", "node": node})
    call.done()


@ctl_command(
    "rebalance",
    "< all | classic | quorum > [--vhost-pattern <pattern>] [--queue-pattern <pattern>]",
    example="classic --queue-pattern '^orders'",
)
@click.argument("kind", metavar="TYPE")
@click.option("--vhost-pattern", default=".*", help="Only in virtual hosts whose name matches.")
@click.option("--queue-pattern", default=".*", help="Only queues whose name matches.")
def rebalance(call: Call, kind: str, vhost_pattern: str, queue_pattern: str) -> None:
    """Spread the masters of mirrored queues over the nodes; they move only to mirrors that have everything."""
    if kind not in ("all", "classic", "quorum"):
        text = f"type {kind} is not supported. Try one of all, classic, quorum."
        raise CtlFailure(Exit.UNAVAILABLE, text)
    call.say(f"Re-balancing leaders of {kind} queues...")
    asked = {"do": "rebalance", "type": kind, "vhost_pattern": vhost_pattern, "queue_pattern": queue_pattern}
    rows = call.ask(asked, REBALANCE_TIMEOUT_S)["rows"]
    shown = [
        {head: f"rabbit@{row[name]}" if name == "node" else row[name] for name, head in HEADS.items()} for row in rows
    ]
    if call.is_json:
        value = [[[head, row[head]] for head in HEADS.values()] for row in shown]
        call.print_object({"node": call.node, "result": "ok", "value": value})
        return
    if not call.is_plain:
        call.print_rows(list(HEADS.values()), shown)
        return
    columns = list(HEADS.values()) if rows else ["Output"]
    for line in output.box(columns, shown or [{"Output": "[]"}]):
        click.echo(line)
