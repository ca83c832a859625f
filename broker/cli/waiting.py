"""`warren wait`: what a script needs before it goes on.

Decides how conditions are read from the command line and how long they are waited for; `merging` says what is lacking.
"""

from collections.abc import Sequence
from time import monotonic, sleep

import click

from broker.cli.failures import Failed
from broker.cli.merging import lacking_readiness, lacking_synchronisation
from broker.cli.options import with_cluster, with_timeout, with_vhost
from broker.cli.road import Road
from broker.cli.status import fetch_status
from broker.cli.vocabulary import Status
from broker.node.configuration import Cluster

POLL_S = 0.1


@click.command(epilog="Example: warren wait ready synchronised orders --timeout 30")
@click.argument("words", nargs=-1, metavar="[ready] [synchronised [QUEUE]]")
@with_vhost
@with_timeout(60.0)
@with_cluster
def wait(cluster: Cluster, words: tuple[str, ...], vhost: str, timeout_s: float) -> None:
    """Return when every node that should run serves clients (ready), or mirrors hold everything (synchronised).

    Without words: ready. Fails if it is not so in time, and says what is lacking.
    """
    conditions = parse_conditions(words)
    road = Road(cluster)
    deadline_s = monotonic() + timeout_s
    while True:
        try:
            lacking = what_is_lacking(fetch_status(road), conditions, vhost)
        except Failed as failure:
            lacking = [failure.message]
        if not lacking:
            return
        if monotonic() > deadline_s:
            raise Failed(f"not within {timeout_s:g} s: {'; '.join(lacking)}")
        sleep(POLL_S)


def parse_conditions(words: Sequence[str]) -> list[tuple[str, str | None]]:
    """(condition, queue or None) in the order given."""
    conditions: list[tuple[str, str | None]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "ready":
            conditions.append((word, None))
        elif word == "synchronised":
            named = bool(rest) and rest[0] not in ("ready", "synchronised")
            conditions.append((word, rest.pop(0) if named else None))
        else:
            raise click.UsageError(f"{word!r}: wait for ready, or synchronised [QUEUE]")
    return conditions or [("ready", None)]


def what_is_lacking(status: Status, conditions: Sequence[tuple[str, str | None]], vhost: str) -> list[str]:
    """What is not yet as it should be; empty: all of it is so."""
    lacking: list[str] = []
    for condition, queue in conditions:
        if condition == "ready":
            lacking += lacking_readiness(status)
        elif all(node["state"] != "running" for node in status["nodes"]):
            lacking.append("no node serves clients")
        else:
            lacking += lacking_synchronisation(status["queues"], queue, vhost)
    return lacking
