"""`warren drill`: kill masters under load, and prove by set comparison that nothing confirmed is lost.

Decides which cluster is drilled (the one that runs, else one of its own), what the user may ask for, and how the report
looks. It must not know how a drill goes: that is `course`.
"""

import json
import secrets
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import trio

from broker.node.configuration import Cluster
from broker.perf.control import Control, Helpless
from broker.perf.course import ROUNDS_DEFAULT, Drill, Orders
from broker.perf.faults import FAULTS
from broker.perf.finding import find_cluster, targets
from broker.perf.own_cluster import NotStarted, own_cluster

COMMAND = "broker.perf.drill:command"
EPILOG = """\b
Examples:
  warren drill                                    five masters killed; a cluster of its own if none runs
  warren drill --rounds 20 --faults kill,freeze --json
  warren drill cluster.yaml --seed 7              the same faults again
  warren drill -- pytest tests/                   your tests, while nodes die; AMQP_URL and AMQP_URLS are set"""


class CommandAtTheEnd(click.Command):
    """What stands behind `--` is the user's own command line, not ours to look at."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Cut the command line at the first `--`."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta[COMMAND] = args[cut + 1 :]
            args = args[:cut]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show it, too."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


@click.command(name="drill", cls=CommandAtTheEnd, epilog=EPILOG)
@click.argument("file", metavar="[cluster.yaml]", required=False, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The same as the argument.")
@click.option("--rounds", type=click.IntRange(1), help=f"How many faults ({ROUNDS_DEFAULT}; while COMMAND runs).")
@click.option("--faults", default="kill", show_default=True, help=f"Some of {','.join(FAULTS)}.")
@click.option("--seed", type=int, help="Decides the faults; else by chance, and told in the report.")
@click.option("--json", "as_json", is_flag=True, help="One object on one line.")
@click.pass_context
def command(
    ctx: click.Context,
    file: Path | None,
    config: Path | None,
    rounds: int | None,
    faults: str,
    seed: int | None,
    *,
    as_json: bool,
) -> None:
    """Publish and consume while masters are killed, and prove that nothing confirmed is lost.

    Exit code 0 if all went well, 1 if a confirmed message was lost or the cluster did not recover; with COMMAND, else
    its own exit code.
    """
    wanted = tuple(dict.fromkeys(faults.split(",")))
    if unknown := sorted(set(wanted) - set(FAULTS)):
        raise click.UsageError(f"--faults {','.join(unknown)}: choose from {','.join(FAULTS)}")
    own_command = ctx.meta.get(COMMAND, [])
    if COMMAND in ctx.meta and not own_command:
        raise click.UsageError("nothing stands behind --: the command that should run while nodes die")
    orders = Orders(
        rounds=rounds or (None if own_command else ROUNDS_DEFAULT),
        faults=wanted,
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        command=own_command,
    )
    say = partial(click.echo, err=as_json)
    try:
        report = _drill(find_cluster(file or config), orders, say)
    except (Helpless, NotStarted) as error:
        raise click.ClickException(" ".join(str(error).split())) from None
    if as_json:
        click.echo(json.dumps(report, separators=(",", ":")))
    else:
        click.echo("\n".join(summary(report)))
    sys.exit(exit_code(report))


def _drill(cluster: Cluster, orders: Orders, say: Callable[[str], None]) -> dict[str, Any]:
    control = _running(cluster)
    if control is not None:
        return _drill_this(cluster, control, orders, say)
    say("no cluster runs here: starting one for this drill")
    with own_cluster(cluster) as own:
        report = _drill_this(own.cluster, Control(own.cluster), orders, say)
        if report["lost"] or report["failure"]:
            own.keep = True
            say(f"what its nodes kept and wrote is in {own.folder}")
    return report


def _drill_this(cluster: Cluster, control: Control, orders: Orders, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"seed {orders.seed}")
    if "partition" in orders.faults and cluster.partition_handling.rule.wants_view(cluster.names):
        mode = cluster.partition_handling.in_effect(cluster.names)
        say(f"partition_handling {mode}: a partition makes two masters, what one side confirms is set aside, not lost")
    orders.net_ticktime_s = max(node.settings.net_ticktime for node in cluster.nodes)
    return trio.run(Drill(control, targets(cluster), orders, say).run)


def _running(cluster: Cluster) -> Control | None:
    try:
        control = Control(cluster)
    except Helpless:
        return None
    return control if trio.run(control.has_supervisor) else None


def exit_code(report: dict[str, Any]) -> int:
    """1 if something confirmed was lost or the cluster did not recover, else what the user's command said."""
    if report["lost"] or report["failure"]:
        return 1
    return int(report["command_exit"] or 0)


def summary(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    lines = [
        "",
        f"{'confirmed':<14}{report['confirmed']:>10,}   of {report['published']:,} published",
        f"{'delivered':<14}{report['delivered']:>10,}",
        f"{'lost':<14}{report['lost']:>10,}",
        f"{'duplicated':<14}{report['duplicated']:>10,}",
        f"{'redelivered':<14}{report['redelivered']:>10,}   flagged as such",
        f"{'reordered':<14}{report['reordered']:>10,}",
    ]
    if report["set_aside"]:
        lines.append(f"{'set aside':<14}{report['set_aside']:>10,}   in recovery files")
    lines.append(f"{'promotions':<14}{len(report['promotions']):>10,}   in {report['rounds']} rounds")
    lines += [
        f"  after {cause.replace('_', ' ')}: p50 {times['p50']:g} ms, p99 {times['p99']:g} ms"
        for cause, times in report["promotion_ms"].items()
    ]
    for missing in report["lost_samples"]:
        lines.append(f"LOST: {missing['queue']}, published through {missing['node']}, number {missing['number']}")
    if report["failure"]:
        lines.append(f"FAILED: {report['failure']}")
    verdict = "everything confirmed was delivered" if not report["lost"] else "confirmed messages were lost"
    return [*lines, f"{verdict} (seed {report['seed']})"]
