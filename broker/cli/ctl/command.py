"""A command of `warren ctl`: a click command that takes the general options anywhere and complains as rabbitmqctl does.

Decides the options that every command has, and the words for what was typed wrong. It must not know any command.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click import exceptions as wrong

from broker.cli.ctl.call import Call, Settings
from broker.cli.ctl.failures import CtlFailure, Denied, Exit, Misuse
from broker.cli.ctl.output import FORMATTERS

GENERAL = "warren ctl [--node <node>] [--timeout <timeout>] [--quiet]"


def general_options() -> list[click.Parameter]:
    """Those that may stand before the command's name or behind it; each is kept in the call's Settings."""

    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            setattr(context.ensure_object(Settings), str(parameter.name), value)

    def option(*names: str, **facts: Any) -> click.Option:
        return click.Option(names, callback=keep, expose_value=False, **facts)

    return [
        option("-n", "--node", metavar="NODE", help="The node that is asked, n1 or rabbit@n1 (else any that serves)."),
        option("-p", "--vhost", metavar="VHOST", help="The virtual host, for commands that are about one."),
        option("-t", "--timeout", "timeout_s", type=click.IntRange(min=0), metavar="SECONDS", help="Wait so long."),
        option("-q", "--quiet", is_flag=True, help="Print no line about what is done."),
        option("-s", "--silent", is_flag=True, help="Nor a table's header."),
        option("--formatter", type=click.Choice(FORMATTERS), help="How lists are printed."),
        option("--no-table-headers", is_flag=True, help="Print no table's header."),
        option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The cluster's file."),
    ]


class CtlCommand(click.Command):
    """A command with the general options; `synopsis` is what stands behind its name in the usage line."""

    def __init__(self, *arguments: Any, synopsis: str = "", **facts: Any) -> None:
        super().__init__(*arguments, **facts)
        self.synopsis = synopsis
        self.params += general_options()

    def usage(self) -> str:
        """One line."""
        return f"{GENERAL} {self.name} {self.synopsis}".rstrip()

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As the complaints have it."""
        formatter.write_usage(self.usage(), "", prefix="Usage: ")


def ctl_command(name: str, synopsis: str = "", *, example: str) -> Callable[[Callable[..., None]], click.Command]:
    """Makes a function a command. It gets the Call first and then its own arguments."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        def invoke(**arguments: Any) -> None:
            settings = click.get_current_context().ensure_object(Settings)
            function(Call(settings, name), **arguments)

        epilog = f"Example: warren ctl {name} {example}".rstrip()
        return click.command(name, cls=CtlCommand, synopsis=synopsis, epilog=epilog)(invoke)

    return decorate


def told(failure: Exception, command: click.Command | None, given: Sequence[str]) -> int:
    """Tell what went wrong on stderr; the exit code."""
    match failure:
        case CtlFailure():
            if failure.lines:
                click.echo(failure.lines, err=True)
            return failure.code
        case Denied():
            click.echo(f"Error:\n{failure.why}", err=True)
            return Exit.UNAVAILABLE
        case Misuse():
            text, code = failure.text, failure.code
        case click.UsageError():
            text, code = _complaint(failure, given), Exit.USAGE
        case _:
            raise failure
    usage = command.usage() if isinstance(command, CtlCommand) else f"{GENERAL} <command> [<command options>]"
    click.echo(f"Error (argument validation): {text}", err=True)
    click.echo(f"Arguments given:\n\t{' '.join(given)}\n\nUsage\n\n{usage}", err=True)
    return code


def _complaint(error: click.UsageError, given: Sequence[str]) -> str:
    match error:
        case wrong.MissingParameter(param=click.Argument()):
            return "not enough arguments."
        case wrong.NoSuchOption():
            return f"Invalid options for this command:\n{error.option_name} : "
        case wrong.BadParameter(param=click.Option() as option):
            return f"Invalid options for this command:\n{_typed(option, given)}"
        case wrong.BadOptionUsage():
            return f"Invalid options for this command:\n{error.option_name} : "
    return "too many arguments." if "extra argument" in error.message else error.format_message()


def _typed(option: click.Option, given: Sequence[str]) -> str:
    """Name and value of an option, as they were typed."""
    words = [part for word in given for part in (word.split("=", 1) if word.startswith("--") else [word])]
    name = next((name for name in option.opts if name in words), option.opts[-1])
    return f"{name} : {words[words.index(name) + 1] if name in words[:-1] else ''}"
