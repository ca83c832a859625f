"""Users: add_user, delete_user, change_password, clear_password, authenticate_user, set_user_tags, list_users.

Decides what is asked and printed; hashes are made by the leader, from a password that no log sees.
"""

import sys
from typing import Any

import click

from broker.cli.ctl import output
from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Exit, Misuse

ADDED = (
    "Done. Don't forget to grant the user permissions to some virtual hosts! "
    "See 'warren ctl help set_permissions' to learn more."
)


@ctl_command("add_user", "<username> <password>", example="tom secret")
@click.argument("username")
@click.argument("password", required=False)
@click.option("--pre-hashed-password", is_flag=True, help="What is given is a hash, as an export has it.")
def add_user(call: Call, username: str, password: str | None, *, pre_hashed_password: bool) -> None:
    """Create a user, who may do nothing yet. Without PASSWORD one line of standard input is it."""
    if not username:
        raise Misuse("Bad argument: user cannot be an empty string", Exit.DATA)
    call.say(f'Adding user "{username}" ...')
    given = _given(password)
    secret = {"password_hash": given} if pre_hashed_password else {"password": given}
    exists = CtlFailure(Exit.SOFTWARE, f'User "{username}" already exists')
    call.change({"do": "put_user", "name": username, "new": True, **secret}, exists=exists)
    if call.is_json:
        call.print_object({"message": ADDED, "node": call.node, "status": "ok"})
    elif not call.is_quiet:
        click.echo(ADDED)


@ctl_command("delete_user", "<username>", example="tom")
@click.argument("username")
def delete_user(call: Call, username: str) -> None:
    """Remove a user, and what the user was allowed to."""
    call.say(f'Deleting user "{username}" ...')
    call.change({"do": "delete_user", "name": username}, no_user=missing(username))
    call.done()


@ctl_command("change_password", "<username> <password>", example="tom 'another secret'")
@click.argument("username")
@click.argument("password", required=False)
def change_password(call: Call, username: str, password: str | None) -> None:
    """Change a user's password. Without PASSWORD one line of standard input is it."""
    call.say(f'Changing password for user "{username}" ...')
    call.change({"do": "change_user", "name": username, "password": _given(password)}, no_user=missing(username))
    call.done()


@ctl_command("clear_password", "<username>", example="tom")
@click.argument("username")
def clear_password(call: Call, username: str) -> None:
    """Let no password fit: the user cannot log in with one."""
    call.say(f'Clearing password for user "{username}" ...')
    call.change({"do": "change_user", "name": username, "password_hash": ""}, no_user=no_such_user(username))
    call.done()


@ctl_command("authenticate_user", "<username> <password>", example="tom secret")
@click.argument("username")
@click.argument("password", required=False)
def authenticate_user(call: Call, username: str, password: str | None) -> None:
    """Try whether the user can log in with this password."""
    call.say(f'Authenticating user "{username}" ...')
    answer = call.ask({"do": "authenticate", "user": username, "password": _given(password)})
    if not answer["authenticated"]:
        raise CtlFailure(Exit.DATA, f'Error: failed to authenticate user "{username}"\n{answer["why"]}')
    call.print_value("Success")


@ctl_command("set_user_tags", "<username> <tag> [...]", example="tom administrator")
@click.argument("username")
@click.argument("tags", nargs=-1)
def set_user_tags(call: Call, username: str, tags: tuple[str, ...]) -> None:
    """Set a user's tags, these and no others: administrator, monitoring, policymaker, management, or any word."""
    call.say(f'Setting tags for user "{username}" to {output.shown(tags)} ...')
    call.change({"do": "change_user", "name": username, "tags": list(tags)}, no_user=missing(username))
    call.done()


@ctl_command("list_users", example="--formatter json")
def list_users(call: Call) -> None:
    """List the users and their tags."""
    call.say("Listing users ...")
    rows = [{"user": user["name"], "tags": user["tags"]} for user in call.rows("users")]
    call.print_rows(("user", "tags"), rows)


def missing(username: str) -> CtlFailure:
    """There is no such user."""
    return CtlFailure(Exit.NO_USER, f'User "{username}" does not exist')


def no_such_user(username: str) -> CtlFailure:
    """The same in the words and with the code that other commands of rabbitmqctl have for it."""
    return CtlFailure(Exit.UNAVAILABLE, f'{{:no_such_user, "{username}"}}')


def check_user(call: Call, username: str) -> dict[str, Any]:
    """The user's row. Raises CtlFailure if there is none."""
    row = next((user for user in call.rows("users") if user["name"] == username), None)
    if row is None:
        raise no_such_user(username)
    return row


def _given(password: str | None) -> str:
    if password is not None:
        return password
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True))
    line = sys.stdin.readline()
    if not line:
        raise CtlFailure(Exit.DATA, "Password is not provided via argument or stdin")
    return line.rstrip("\r\n")
