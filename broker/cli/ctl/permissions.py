"""What users may do: set_permissions, clear_permissions, list_permissions, list_user_permissions.

Decides what is asked and printed.
"""

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Exit
from broker.cli.ctl.users import check_user

RIGHTS = ("configure", "write", "read")


@ctl_command("set_permissions", "[--vhost <vhost>] <username> <conf> <write> <read>", example="tom '.*' '.*' '.*'")
@click.argument("username")
@click.argument("configure")
@click.argument("write")
@click.argument("read")
def set_permissions(call: Call, username: str, configure: str, write: str, read: str) -> None:
    """Say what a user may do in a virtual host: regular expressions on the names of queues and exchanges."""
    call.say(f'Setting permissions for user "{username}" in vhost "{call.vhost}" ...')
    rights = {"configure": configure, "write": write, "read": read}
    ends = {"user": username, "vhost": call.vhost}
    call.change({"do": "put_permission", **ends, **rights}, **missing_ends(call, username))
    call.done()


@ctl_command("clear_permissions", "[--vhost <vhost>] <username>", example="-p shop tom")
@click.argument("username")
def clear_permissions(call: Call, username: str) -> None:
    """Let a user do nothing in a virtual host any more."""
    call.say(f'Clearing permissions for user "{username}" in vhost "{call.vhost}" ...')
    ends = {"user": username, "vhost": call.vhost}
    call.change({"do": "clear_permission", **ends}, **missing_ends(call, username))
    call.done()


@ctl_command("list_permissions", "[--vhost <vhost>] [--no-table-headers]", example="-p shop")
def list_permissions(call: Call) -> None:
    """List what users may do in a virtual host."""
    call.say(f'Listing permissions for vhost "{call.vhost}" ...')
    call.print_rows(("user", *RIGHTS), call.rows("permissions", call.vhost))


@ctl_command("list_user_permissions", "[--no-table-headers] <username>", example="tom")
@click.argument("username")
def list_user_permissions(call: Call, username: str) -> None:
    """List what a user may do in every virtual host."""
    call.say(f'Listing permissions for user "{username}" ...')
    check_user(call, username)
    rows = [row for row in call.rows("permissions") if row["user"] == username]
    call.print_rows(("vhost", *RIGHTS), rows)


def missing_ends(call: Call, username: str) -> dict[str, CtlFailure]:
    """What to say if the user or the virtual host of a permission does not exist."""
    return {
        "no_user": CtlFailure(Exit.NO_USER, f"User {username} does not exist"),
        "not_found": CtlFailure(Exit.UNAVAILABLE, f"Virtual host {call.vhost} does not exist"),
    }
