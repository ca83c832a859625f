"""list_feature_flags and enable_feature_flag: what RabbitMQ switches on step by step, and what is always on here.

Decides how they are printed. It must not know which there are.
"""

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.columns import Listing, alike
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Exit, Misuse
from broker.management.feature_flags import FLAGS

COLUMNS = Listing("", alike("name state stability desc provided_by"), ("name", "state"))


@ctl_command("list_feature_flags", "[<column> ...]", example="name state")
@click.argument("columns", nargs=-1)
def list_feature_flags(call: Call, columns: tuple[str, ...]) -> None:
    """List the feature flags of RabbitMQ whose feature Warren has; all are enabled, and always were."""
    chosen = COLUMNS.chosen(columns)
    call.look()
    call.say("Listing feature flags ...")
    always = {"state": "enabled", "stability": "stable", "provided_by": "warren"}
    call.print_rows(chosen, [{"name": name, "desc": text, **always} for name, text in FLAGS.items()])


@ctl_command("enable_feature_flag", "<all | feature_flag>", example="all")
@click.argument("name")
def enable_feature_flag(call: Call, name: str) -> None:
    """Check that a feature is there: those that are, are enabled already."""
    if not name:
        raise Misuse("Bad argument: feature_flag cannot be an empty string.", Exit.DATA)
    node, _ = call.look()
    call.say("Enabling all feature flags ..." if name == "all" else f'Enabling feature flag "{name}" ...')
    if name != "all" and name not in FLAGS:
        raise CtlFailure(Exit.USAGE, f"This feature flag is not supported by node rabbit@{node}")
    call.done()
