"""Which cluster is meant, where its nodes listen for AMQP, and as whom one may connect.

Decides as every command does: the file that is named, else $WARREN_CONFIG, else ./cluster.yaml, else all defaults; and
run.json, if `warren up` left one, for ports. It must not know what is done with the answer.
"""

import json
import os
from pathlib import Path
from typing import Any

import click

from broker.node.configuration import Address, Cluster, ConfigurationError, load
from broker.perf.client import Target

DEFAULT_FILE = "cluster.yaml"
RUN_FILE = "run.json"


class WrongConfiguration(click.ClickException):
    """A file that cannot be used; one line for each fault."""

    exit_code = 2


def find_cluster(given: Path | None) -> Cluster:
    """The cluster that is meant. Raises WrongConfiguration."""
    if given is None:
        named = os.environ.get("WARREN_CONFIG") or DEFAULT_FILE
        given = Path(named) if named != DEFAULT_FILE or Path(named).exists() else None
    try:
        return load(given)
    except ConfigurationError as error:
        raise WrongConfiguration(str(error)) from None


def running(cluster: Cluster) -> dict[str, Any] | None:
    """What `warren up` left in run.json: `supervisor` and `nodes`; None if there is none."""
    try:
        found: dict[str, Any] = json.loads((cluster.run_folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def targets(cluster: Cluster) -> dict[str, Target]:
    """Each node's AMQP address with a login: that of an administrator, in "/" if there is such a vhost."""
    run = running(cluster)
    user = next((user for user in cluster.users if "administrator" in user.tags), cluster.users[0])
    vhost = "/" if "/" in cluster.vhosts else cluster.vhosts[0]
    found = {node.name: str(node.amqp) for node in cluster.nodes}
    if run is not None:
        found = {name: node["amqp"] for name, node in run["nodes"].items()}
    return {name: Target(dialled(address), user.name, user.password, vhost) for name, address in found.items()}


def dialled(address: str) -> str:
    """The address to dial for one that is listened on."""
    return str(Address.parse(address).reachable)
