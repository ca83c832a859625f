"""`warren completion`: what a shell needs to complete commands, options and their values.

Decides nothing but which shells; click has the scripts, and asks the command itself what may come next.
"""

import click

VARIABLE = "_WARREN_COMPLETE"
"""By which the scripts ask."""


@click.command(
    epilog="""\b
Example, for a shell's start file:
  bash (4.4 or later): eval "$(warren completion bash)"
  zsh (after compinit): eval "$(warren completion zsh)"
  fish:                 warren completion fish | source"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which SHELL completes what is typed after `warren`."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(click.get_current_context().find_root().command, {}, "warren", VARIABLE).source())
