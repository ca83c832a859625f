"""The lists of queues, exchanges, bindings, connections, channels and consumers.

Decides columns, banners and which queues are meant. One node is asked; it answers for the whole cluster.
"""

from collections.abc import Callable
from typing import Any

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.columns import Listing, alike, warn_of
from broker.cli.ctl.command import ctl_command

COLUMNS = "[<column> ...]"

QUEUES = Listing(
    "queues",
    {
        **alike(
            "name durable auto_delete arguments policy operator_policy effective_policy_definition pid owner_pid "
            "exclusive exclusive_consumer_pid exclusive_consumer_tag messages_ready messages_unacknowledged messages "
            "messages_ready_ram messages_unacknowledged_ram messages_ram messages_persistent message_bytes "
            "message_bytes_ready message_bytes_unacknowledged message_bytes_ram message_bytes_persistent "
            "head_message_timestamp disk_reads disk_writes consumers consumer_utilisation consumer_capacity memory "
            "slave_pids synchronised_slave_pids state type leader members online single_active_consumer_pid "
            "single_active_consumer_tag recoverable_slaves"
        ),
        "mirror_pids": "slave_pids",
        "synchronised_mirror_pids": "synchronised_slave_pids",
    },
    ("name", "messages"),
)
UNRESPONSIVE = Listing("queues", alike("name durable auto_delete arguments pid recoverable_slaves"), ("name",))
EXCHANGES = Listing(
    "exchanges", alike("name type durable auto_delete internal arguments policy operator_policy"), ("name", "type")
)
BINDINGS = Listing(
    "bindings",
    {
        "source_name": "source",
        "source_kind": "=exchange",
        "destination_name": "destination",
        "destination_kind": "destination_type",
        **alike("routing_key arguments"),
    },
    ("source_name", "source_kind", "destination_name", "destination_kind", "routing_key", "arguments"),
)
CONNECTIONS = Listing(
    "connections",
    alike(
        "pid name port host peer_port peer_host ssl ssl_protocol ssl_key_exchange ssl_cipher ssl_hash "
        "peer_cert_subject peer_cert_issuer peer_cert_validity state channels protocol auth_mechanism user vhost "
        "timeout frame_max channel_max client_properties recv_oct recv_cnt send_oct send_cnt send_pend connected_at "
        "user_provided_name node"
    ),
    ("user", "peer_host", "peer_port", "state"),
)
CHANNELS = Listing(
    "channels",
    alike(
        "pid connection name number user vhost transactional confirm consumer_count messages_unacknowledged "
        "messages_uncommitted acks_uncommitted messages_unconfirmed prefetch_count global_prefetch_count state node"
    ),
    ("pid", "user", "consumer_count", "messages_unacknowledged"),
)
CONSUMERS = Listing(
    "consumers",
    {
        "queue_name": "queue.name",
        **alike("channel_pid consumer_tag ack_required prefetch_count active activity_status arguments exclusive"),
    },
    ("queue_name", "channel_pid", "consumer_tag", "ack_required", "prefetch_count", "active", "arguments"),
)


def _list_command(
    name: str, listing: Listing, banner: str, what: str, *, by_vhost: bool, example: str
) -> click.Command:
    """A command that lists all there is of a kind; `banner` may name the virtual host."""

    def run(call: Call, columns: tuple[str, ...]) -> None:
        chosen = listing.chosen(columns)
        call.say(banner.format(call.vhost))
        rows, silent = listing.fetch(call, chosen, vhost=call.vhost if by_vhost else None)
        listing.show(call, chosen, rows)
        warn_of(silent)

    documented = _documented(what, listing)(run)
    return ctl_command(name, COLUMNS, example=example)(click.argument("columns", nargs=-1)(documented))


def _documented(what: str, listing: Listing) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        columns, default = ", ".join(listing.fields), ", ".join(listing.default)
        function.__doc__ = f"{what}\n\nColumns: {columns}. Without any: {default}."
        return function

    return decorate


list_exchanges = _list_command(
    "list_exchanges",
    EXCHANGES,
    "Listing exchanges for vhost {} ...",
    "List the exchanges of a virtual host.",
    by_vhost=True,
    example="name type durable",
)
list_bindings = _list_command(
    "list_bindings",
    BINDINGS,
    "Listing bindings for vhost {}...",
    "List the bindings of a virtual host, those of the default exchange too.",
    by_vhost=True,
    example="source_name destination_name routing_key",
)
list_connections = _list_command(
    "list_connections",
    CONNECTIONS,
    "Listing connections ...",
    "List the connections of clients to all nodes.",
    by_vhost=False,
    example="pid user name node",
)
list_channels = _list_command(
    "list_channels",
    CHANNELS,
    "Listing channels ...",
    "List the channels of all connections.",
    by_vhost=False,
    example="connection number messages_unacknowledged",
)
list_consumers = _list_command(
    "list_consumers",
    CONSUMERS,
    "Listing consumers in vhost {} ...",
    "List the consumers of a virtual host.",
    by_vhost=True,
    example="queue_name consumer_tag activity_status",
)


@ctl_command("list_queues", f"[--online] [--offline] [--local] {COLUMNS}", example="name messages slave_pids")
@click.argument("columns", nargs=-1)
@click.option("--online", is_flag=True, help="Only queues whose master can be reached.")
@click.option("--offline", is_flag=True, help="Only queues whose master cannot be reached.")
@click.option("--local", is_flag=True, help="Only queues whose master is on the node that is asked.")
@_documented("List the queues of a virtual host.", QUEUES)
def list_queues(call: Call, columns: tuple[str, ...], *, online: bool, offline: bool, local: bool) -> None:
    chosen = QUEUES.chosen(columns)
    call.say(f"Timeout: {call.timeout_s:.1f} seconds ...")
    call.say(f"Listing queues for vhost {call.vhost} ...")
    rows, silent = QUEUES.fetch(call, chosen, "node", "state", "sync_messages", vhost=call.vhost)
    if local:
        rows = [row for row in rows if row["node"] == call.node]
        online, offline = True, False
    if online != offline:
        rows = [row for row in rows if (row["state"] == "down") is offline]
    QUEUES.show(call, chosen, rows if call.is_json else [_with_progress(row) for row in rows])
    warn_of(silent)


def _with_progress(row: dict[str, Any]) -> dict[str, Any]:
    """As Erlang writes the state of a queue whose mirrors are filled."""
    arrived = row.get("sync_messages")
    return row if arrived is None else {**row, "state": f"{{syncing,{arrived}}}"}


@ctl_command("list_unresponsive_queues", f"[--local] {COLUMNS}", example="name pid")
@click.argument("columns", nargs=-1)
@click.option("--local", is_flag=True, help="Only queues whose master is on the node that is asked.")
@_documented("List the queues of a virtual host whose master should run, but does not answer in time.", UNRESPONSIVE)
def list_unresponsive_queues(call: Call, columns: tuple[str, ...], *, local: bool) -> None:
    chosen = UNRESPONSIVE.chosen(columns)
    call.say(f"Listing unresponsive queues for vhost {call.vhost} ...")
    rows, silent = UNRESPONSIVE.fetch(call, chosen, "node", "state", vhost=call.vhost)
    nodes = {f"rabbit@{name}" for name in silent}
    meant: list[dict[str, Any]] = [row for row in rows if row["state"] == "down" and row["node"] in nodes]
    UNRESPONSIVE.show(call, chosen, [row for row in meant if not local or row["node"] == call.node])
