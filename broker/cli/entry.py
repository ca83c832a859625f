"""`warren`: the table of commands, and the one place where a failure becomes a line on stderr and an exit code.

It must not know what a command does; each is imported when it is called.
"""

import os
import sys
from time import monotonic

import click

from broker.cli.lazy_group import LazyGroup

STARTED_S = monotonic()
"""When this process began, on the clock that `cluster ready: … in X.XX s` is measured by."""

EPILOG = """\b
A cluster of three nodes on this machine, a queue on it, and the death of its master:
  warren up --detach
  warren policy set all '' '{"ha-mode": "all", "ha-sync-mode": "automatic"}'
  warren publish orders 'hello' --declare
  warren kill --master-of orders --wait
  warren get orders
"""

COMMANDS = {
    "up": ("broker.cli.launch:up", "Start the cluster of cluster.yaml, one process per node."),
    "apply": ("broker.cli.apply:apply", "Bring a running cluster to its file: nodes, vhosts, users, policies."),
    "down": ("broker.cli.launch:down", "Stop it, orderly."),
    "status": ("broker.cli.status:status", "Nodes, queues and partitions."),
    "top": ("broker.cli.top:top", "Watch nodes, queues and the time line."),
    "wait": ("broker.cli.waiting:wait", "Return when the cluster is ready, or queues are synchronised."),
    "kill": ("broker.cli.chaos:kill", "Kill a node (SIGKILL), or whichever masters a queue."),
    "stop": ("broker.cli.chaos:stop", "Stop a node, orderly."),
    "start": ("broker.cli.chaos:start", "Start a node that was stopped or killed."),
    "restart": ("broker.cli.chaos:restart", "Stop and start a node."),
    "freeze": ("broker.cli.chaos:freeze", "Suspend a node (SIGSTOP): it is silent, but not dead."),
    "thaw": ("broker.cli.chaos:thaw", "Let a frozen node go on."),
    "partition": ("broker.cli.partition:partition", "Cut the links between groups of nodes."),
    "heal": ("broker.cli.partition:heal", "Mend all links."),
    "policy": ("broker.cli.policy:policy", "Set, list, clear and apply policies."),
    "queues": ("broker.cli.queues:queues", "Queues and their copies."),
    "queue": ("broker.cli.queue:queue", "Pause a queue, and let it go on."),
    "sync": ("broker.cli.queues:sync", "Synchronise the mirrors of a queue."),
    "cancel-sync": ("broker.cli.queues:cancel_sync", "Stop synchronising a queue."),
    "promote": ("broker.cli.queues:promote", "Make a node's copy of a queue its master."),
    "rebalance": ("broker.cli.rebalance:rebalance", "Spread the masters of mirrored queues over the nodes."),
    "recovered": ("broker.cli.recovered:recovered", "Messages that queues have lost: list, show, replay, drop."),
    "events": ("broker.cli.events:events", "The time line: deaths, elections, promotions, syncs."),
    "logs": ("broker.cli.logs:logs", "What the nodes wrote."),
    "publish": ("broker.cli.messages:publish", "Publish messages by hand, and wait for their confirms."),
    "get": ("broker.cli.messages:get", "Take messages from a queue by hand."),
    "browse": ("broker.cli.browse:browse", "Look at the messages of a queue, and leave them as they are."),
    "replay": ("broker.cli.replay:replay", "Send dead letters back to where they came from."),
    "ctl": (
        "broker.cli.ctl.group:ctl",
        "What rabbitmqctl does: users, permissions, limits, lists, definitions, nodes.",
    ),
    "drill": ("broker.perf.drill:command", "Kill masters under load, and prove that nothing confirmed is lost."),
    "perf": ("broker.perf.load:command", "Measure any AMQP 0-9-1 broker."),
    "completion": ("broker.cli.completion:completion", "Print what bash, zsh or fish need to complete commands."),
    "node": ("broker.cli.node:node", "Run one node in the foreground, for systemd and containers."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="warren", prog_name="warren")
def cli() -> None:
    """Warren: a RabbitMQ-compatible cluster that you can kill."""


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and exits with 0 (done), 1 (failed) or 2 (misused)."""
    if os.name != "posix":
        sys.exit("warren: runs on Linux and macOS, not here: its processes and files need POSIX")
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Runs one command; its exit code. Failures are told on stderr, one line each."""
    try:
        code = cli.main(args=arguments, prog_name="warren", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as page:
        click.echo(page.message, err=True)
        return page.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "warren"
        click.echo(f"{command}: {_one_line(error.format_message())} (see {command} --help)", err=True)
        return error.exit_code
    except click.ClickException as error:
        for line in error.format_message().splitlines():
            click.echo(f"warren: {line}", err=True)
        return error.exit_code
    except click.Abort:
        click.echo("warren: interrupted", err=True)
        return 1
    except BrokenPipeError:
        # The reader of our output (`| head`) has seen enough; Python must not try again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
