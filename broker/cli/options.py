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
    """The cluster that a command is about. Raises Misused."""
    try:
        return load(find_file(given))
    except ConfigurationError as error:
        raise Misused(str(error)) from error


def _loaded(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Cluster:
    return load_cluster(value)


def with_cluster(command: F) -> F:
    """Adds `--config FILE` and hands the function its `cluster`."""
    option = click.option(
        "--config",
        "cluster",
        type=click.Path(path_type=Path),
        callback=_loaded,
        metavar="FILE",
        help="The cluster's file (else $WARREN_CONFIG, else ./cluster.yaml, else all defaults).",
    )
    return option(command)


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
