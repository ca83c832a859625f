"""What all commands that measure have in common: which broker is meant, and how a measurement ends.

Decides the options for both, how figures are printed, and the exit code. It must not know what is measured.
"""

import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
import trio

from broker.perf.client import Closed, Target, target_of
from broker.perf.finding import find_cluster, targets
from broker.perf.tally import Interrupted

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")


class Missed(Exception):
    """What was to be measured did not happen; the text says what and why."""


def target_options(command: F) -> F:
    """Adds `--url` as `urls` and `--config`; see `brokers_meant`."""
    url = click.option("--url", "urls", multiple=True, help="AMQP URL of the broker; several: taken in turn.")
    config = click.option(
        "--config", type=click.Path(path_type=Path), help="Without URL: the first node of this cluster.yaml."
    )
    return url(config(command))


def brokers_meant(urls: Sequence[str], config: Path | None) -> tuple[Target, ...]:
    """The URLs; without any the first node of the cluster that is meant, by default at port 5672."""
    if urls:
        try:
            return tuple(target_of(url) for url in urls)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    return (next(iter(targets(find_cluster(config)).values())),)


def with_json(command: F) -> F:
    """Adds `--json` as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One object on one line.")(command)


def queue_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """From KEY=VALUE; what looks like a number is one."""
    parted = [pair.partition("=") for pair in pairs]
    return {key: int(value) if value.lstrip("-").isdigit() else value for key, _, value in parted}


def measured(measure: Callable[P, Awaitable[dict[str, Any]]], *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
    """Run it; its figures. A broker that ends it is told in one line, with exit code 1."""

    async def run() -> dict[str, Any]:
        return await measure(*args, **kwargs)

    try:
        return trio.run(run)
    except* (Closed, Interrupted, Missed) as group:
        click.echo(f"perf: {_first(group)}", err=True)
        sys.exit(1)


def conclude(figures: Mapping[str, Any], lines: Sequence[str], *, as_json: bool, failed: bool) -> None:
    """Print the figures, as one object or for people, and end."""
    click.echo(json.dumps(figures, separators=(",", ":")) if as_json else "\n".join(lines))
    sys.exit(int(failed))


def _first(group: BaseExceptionGroup[Exception]) -> BaseException:
    """The first real failure inside nested groups."""
    failure: BaseException = group
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
