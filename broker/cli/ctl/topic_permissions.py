"""Which routing keys users may use: *_topic_permissions and list_user_topic_permissions.

Decides what is asked and printed.
"""

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.permissions import missing_ends
from broker.cli.ctl.users import check_user


@ctl_command(
    "set_topic_permissions",
    "[--vhost <vhost>] <username> <exchange> <write> <read>",
    example="tom amq.topic '^tom[.]' '.*'",
)
@click.argument("username")
@click.argument("exchange")
@click.argument("write")
@click.argument("read")
def set_topic_permissions(call: Call, username: str, exchange: str, write: str, read: str) -> None:
    """Say which routing keys a user may publish with (WRITE) and bind with (READ) at a topic exchange."""
    call.say(f'Setting topic permissions on "{exchange}" for user "{username}" in vhost "{call.vhost}" ...')
    facts = {"user": username, "vhost": call.vhost, "exchange": exchange, "write": write, "read": read}
    call.change({"do": "put_topic_permission", **facts}, **missing_ends(call, username))
    call.done()


@ctl_command("clear_topic_permissions", "[--vhost <vhost>] <username> [<exchange>]", example="tom amq.topic")
@click.argument("username")
@click.argument("exchange", required=False)
def clear_topic_permissions(call: Call, username: str, exchange: str | None) -> None:
    """Let a user use every routing key again, at one exchange or at all."""
    where = "" if exchange is None else f' on "{exchange}"'
    call.say(f'Clearing topic permissions{where} for user "{username}" in vhost "{call.vhost}" ...')
    facts = {"user": username, "vhost": call.vhost, "exchange": exchange}
    call.change({"do": "clear_topic_permission", **facts}, **missing_ends(call, username))
    call.done()


@ctl_command("list_topic_permissions", "[--vhost <vhost>] [--no-table-headers]", example="-p shop")
def list_topic_permissions(call: Call) -> None:
    """List topic permissions in a virtual host."""
    call.say(f'Listing topic permissions for vhost "{call.vhost}" ...')
    call.print_rows(("user", "exchange", "write", "read"), call.rows("topic_permissions", call.vhost))


@ctl_command("list_user_topic_permissions", "[--no-table-headers] <username>", example="tom")
@click.argument("username")
def list_user_topic_permissions(call: Call, username: str) -> None:
    """List a user's topic permissions in every virtual host."""
    call.say(f'Listing topic permissions for user "{username}" ...')
    check_user(call, username)
    rows = [row for row in call.rows("topic_permissions") if row["user"] == username]
    call.print_rows(("vhost", "exchange", "write", "read"), rows)
