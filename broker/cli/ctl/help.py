"""help: a command's page, as `--help` behind its name shows it.

Decides nothing but which page.
"""

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import Misuse


@ctl_command("help", "[<command>]", example="set_permissions")
@click.argument("name", required=False)
def help_command(_call: Call, name: str | None) -> None:
    """Show what a command does, or which commands there are."""
    context = click.get_current_context()
    group = context.parent
    assert group is not None
    assert isinstance(group.command, click.Group)
    if name is None:
        click.echo(group.get_help())
        return
    command = group.command.get_command(group, name)
    if command is None:
        raise Misuse(f"there is no command {name}")
    with click.Context(command, group, name) as page:
        click.echo(command.get_help(page))
