"""How much a user may open: set_user_limits, clear_user_limits, list_user_limits.

Decides what is asked and printed.
"""

import click

from broker.cli.ctl import output
from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.documents import read_document
from broker.cli.ctl.users import check_user, no_such_user

EVERY_LIMIT = "all"


@ctl_command("set_user_limits", "<username> <definition>", example="""tom '{"max-connections": 10}'""")
@click.argument("username")
@click.argument("definition")
def set_user_limits(call: Call, username: str, definition: str) -> None:
    """Limit a user: {"max-connections": N, "max-channels": N}; -1 is no limit, what is not named stays."""
    call.say(f'Setting user limits to "{definition}" for user "{username}" ...')
    request = {"do": "set_user_limits", "user": username, "limits": read_document(definition)}
    call.change(request, no_user=no_such_user(username))
    call.done()


@ctl_command("clear_user_limits", "<username> <limit_type> | all", example="tom max-connections")
@click.argument("username")
@click.argument("limit")
def clear_user_limits(call: Call, username: str, limit: str) -> None:
    """Remove a limit of a user, max-connections or max-channels, or all of them."""
    everything = limit == EVERY_LIMIT
    what = "all limits" if everything else f'"{limit}" limit'
    call.say(f'Clearing {what} for user "{username}" ...')
    request = {"do": "clear_user_limits", "user": username, "limit": None if everything else limit}
    call.change(request, no_user=no_such_user(username))
    call.done()


@ctl_command("list_user_limits", "[--user <username>] [--global] [--no-table-headers]", example="--user tom")
@click.option("--user", "username", default="guest", show_default=True, help="Whose.")
@click.option("--global", "everywhere", is_flag=True, help="Of all users.")
def list_user_limits(call: Call, username: str, *, everywhere: bool) -> None:
    """Show the limits of a user, or of all that have some."""
    if everywhere:
        call.say("Listing limits for all users ...")
        rows = [{"user": row["user"], "limits": output.document(row["value"])} for row in call.rows("user_limits")]
        call.print_rows(("user", "limits"), rows)
        return
    call.say(f'Listing limits for user "{username}" ...')
    call.print_value(output.document(check_user(call, username)["limits"]))
