"""`warren ctl`: what rabbitmqctl does, under its names, with its arguments, columns, texts and exit codes.

Decides how a command is found and how its failure becomes an exit code. It must not know any command.
"""

from difflib import get_close_matches
from typing import Any

import click

from broker.cli.ctl.call import Settings
from broker.cli.ctl.command import general_options, told
from broker.cli.ctl.failures import Exit
from broker.cli.ctl.table import COMMANDS, SECTIONS
from broker.cli.lazy_group import LazyGroup


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
        if args[0] not in COMMANDS and not ctx.resilient_parsing:  # as when a shell completes a word
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
    """What rabbitmqctl does, under the same names: users, permissions, limits, policies, lists, definitions, nodes.

    The general options may stand before the command's name or behind it. Exit codes: 0 done, 64 misused, 65 wrong
    data, 67 no such user, 69 refused or no node, 75 too late, 78 wrong configuration.
    """
