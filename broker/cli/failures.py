"""How a command fails: one line on stderr, exit code 1; misuse has 2 and is click's own."""

import click


class Failed(click.ClickException):
    """The command was understood and could not be done; the message says why, in one line."""

    exit_code = 1


class Misused(click.ClickException):
    """What was given cannot be right: a wrong file, a policy that does not exist in nature. One line for each fault."""

    exit_code = 2
