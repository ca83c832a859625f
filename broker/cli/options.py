"""Options that several commands share: which cluster, JSON or text, which vhost.

Decides how the file of a cluster is found, and how a wrong one is told. It must not know what the commands do.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from broker.cli.failures import Misused
from broker.cli.run_file import recall
from broker.node.configuration import Cluster, ConfigurationError, load

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_FILE = "cluster.yaml"


def find_file(given: Path | None) -> Path | None:
    """The file of the cluster: what was given, else $WARREN_CONFIG, else ./cluster.yaml; None: there is none."""
    if given is not None:
        return given
    named = os.environ.get("WARREN_CONFIG")
    if named:
        return Path(named)
    return Path(DEFAULT_FILE) if Path(DEFAULT_FILE).exists() else None


def load_cluster(given: Path | None) -> Cluster:
    """What the file of a cluster says, checked. Raises Misused."""
    try:
        return load(find_file(given))
    except ConfigurationError as error:
        raise Misused(str(error)) from error


def known_cluster(given: Path | None) -> Cluster:
    """The cluster that a command asks something, which need not be checked if its supervisor has done so. Raises
    Misused."""
    return recall(find_file(given)) or load_cluster(given)


def _cluster_option(find: Callable[[Path | None], Cluster]) -> Callable[[F], F]:
    def found(context: click.Context, _parameter: click.Parameter, value: Path | None) -> Cluster | None:
        return None if context.resilient_parsing else find(value)  # a shell that completes a word wants no file read

    return click.option(
        "--config",
        "cluster",
        type=click.Path(path_type=Path),
        callback=found,
        metavar="FILE",
        help="The cluster's file (else $WARREN_CONFIG, else ./cluster.yaml, else all defaults).",
    )


def with_cluster(command: F) -> F:
    """Adds `--config FILE` and hands the function its `cluster`, which runs."""
    return _cluster_option(known_cluster)(command)


def with_checked_cluster(command: F) -> F:
    """The same, of a cluster that is yet to run: the file is checked."""
    return _cluster_option(load_cluster)(command)


def with_json(command: F) -> F:
    """Adds `--json` as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One object on one line.")(command)


def with_vhost(command: F) -> F:
    """Adds `--vhost`."""
    return click.option("--vhost", default="/", show_default=True, help="The virtual host.")(command)


def with_timeout(seconds: float) -> Callable[[F], F]:
    """Adds `--timeout` as `timeout_s`."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0),
        default=seconds,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait at most.",
    )


def print_json(value: Any) -> None:
    """One object on one line."""
    click.echo(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
