"""`warren ctl`: the table of commands, by what they are about.

Decides which commands there are; each is imported when it is called. Names, arguments, columns, texts and exit codes
are rabbitmqctl's.
"""

from difflib import get_close_matches
from typing import Any

import click

from broker.cli.ctl.call import Settings
from broker.cli.ctl.command import general_options, told
from broker.cli.ctl.failures import Exit
from broker.cli.lazy_group import LazyGroup

HERE = "broker.cli.ctl"

SECTIONS = {
    "Help": {
        "help": (f"{HERE}.help:help_command", "Show what a command does, and its arguments."),
    },
    "Users": {
        "add_user": (f"{HERE}.users:add_user", "Create a user; without permissions for any virtual host yet."),
        "authenticate_user": (f"{HERE}.users:authenticate_user", "Try a password; an exit code other than 0: wrong."),
        "change_password": (f"{HERE}.users:change_password", "Change a user's password."),
        "clear_password": (f"{HERE}.users:clear_password", "Let no password fit."),
        "delete_user": (f"{HERE}.users:delete_user", "Remove a user and all permissions."),
        "list_users": (f"{HERE}.users:list_users", "List users and their tags."),
        "set_user_tags": (f"{HERE}.users:set_user_tags", "Set a user's tags."),
    },
    "Queues and clients": {
        "cancel_sync_queue": (f"{HERE}.queues:cancel_sync_queue", "Stop filling the mirrors of a queue."),
        "close_all_connections": (f"{HERE}.clients:close_all_connections", "Close the connections to a vhost or node."),
        "close_connection": (f"{HERE}.clients:close_connection", "Close a client's connection."),
        "delete_queue": (f"{HERE}.queues:delete_queue", "Delete a queue."),
        "list_bindings": (f"{HERE}.lists:list_bindings", "List bindings."),
        "list_channels": (f"{HERE}.lists:list_channels", "List channels."),
        "list_connections": (f"{HERE}.lists:list_connections", "List connections."),
        "list_consumers": (f"{HERE}.lists:list_consumers", "List consumers."),
        "list_exchanges": (f"{HERE}.lists:list_exchanges", "List exchanges."),
        "list_queues": (f"{HERE}.lists:list_queues", "List queues."),
        "list_unresponsive_queues": (f"{HERE}.lists:list_unresponsive_queues", "List queues that do not answer."),
        "purge_queue": (f"{HERE}.queues:purge_queue", "Remove the ready messages of a queue."),
        "sync_queue": (f"{HERE}.queues:sync_queue", "Fill the mirrors of a queue."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class CtlGroup(LazyGroup):
    """The group whose failures have rabbitmqctl's words and codes."""

    def __init__(self, *arguments: Any, **facts: Any) -> None:
        super().__init__(*arguments, **facts)
        self.params += general_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The options before the command's name."""
        settings = ctx.ensure_object(Settings)
        settings.given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(Exit.USAGE)
        except click.UsageError as error:
            ctx.exit(told(error, None, settings.given))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of this name; if there is none, perhaps another was meant."""
        if args[0] not in COMMANDS:
            ctx.exit(_unknown(args[0]))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """The command, or what went wrong with it."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except Exception as failure:
            command = self.get_command(ctx, ctx.invoked_subcommand) if ctx.invoked_subcommand else None
            ctx.exit(told(failure, command, ctx.ensure_object(Settings).given))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By section, without importing one."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in section.items()])


def _unknown(name: str) -> int:
    click.echo(f"\nCommand '{name}' not found. ", err=True)
    near = get_close_matches(name, COMMANDS, 1)
    click.echo(f"Did you mean '{near[0]}'? \n" if near else "\nSee warren ctl --help", err=True)
    return Exit.USAGE


@click.group(
    "ctl",
    cls=CtlGroup,
    lazy=COMMANDS,
    epilog="""Example: warren ctl add_user tom secret && warren ctl -p / set_permissions tom '.*' '.*' '.*'""",
)
def ctl() -> None:
    """What rabbitmqctl does, under the same names: users, permissions, limits, policies, lists, definitions.

    The general options may stand before the command's name or behind it. Exit codes: 0 done, 64 misused, 65 wrong
    data, 67 no such user, 69 refused or no node, 75 too late, 78 wrong configuration.
    """
