"""`warren events`: the time line of the cluster, put together from what every node remembers.

Decides how the nodes' lists become one, and how it is shown. What happened, the nodes say.
"""

import json
from datetime import datetime
from time import sleep
from typing import Any

import click

from broker.cli.exchange import Silent
from broker.cli.options import print_json, with_cluster, with_json
from broker.cli.road import STATUS_TIMEOUT_S, Road
from broker.node.configuration import EVENTS_FILE, Cluster

POLL_S = 0.25
OVERLAP_MS = 5000
"""Clocks of nodes differ, so a poll asks for a little more than it lacks; known events are left out."""


@click.command(epilog="Example: warren events --follow --json")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("-n", "count", default=0, metavar="N", help="Only the last N; 0 = all.")
@with_cluster
@with_json
def events(cluster: Cluster, count: int, *, follow: bool, as_json: bool) -> None:
    """Show what happened: nodes lost, elections, promotions, synchronisations, partitions, policies.

    With --json every event is an object on a line of its own.
    """

    def show(found: list[dict[str, Any]]) -> None:
        for event in found:
            if as_json:
                print_json(event)
            else:
                click.echo(event_line(event))

    road = Road(cluster)
    found = fetch_events(road, 0)
    show(found[-count:] if count else found)
    seen = {event["id"] for event in found}
    last_ms = max((event["stamp_ms"] for event in found), default=0)
    try:
        while follow:
            sleep(POLL_S)
            fresh = [one for one in fetch_events(road, last_ms - OVERLAP_MS) if one["id"] not in seen]
            show(fresh)
            seen.update(event["id"] for event in fresh)
            last_ms = max([last_ms, *(event["stamp_ms"] for event in fresh)])
    except KeyboardInterrupt:
        if not follow:
            raise


def fetch_events(road: Road, after_ms: int) -> list[dict[str, Any]]:
    """Every event from that wall time on, each once, oldest first. Silent nodes of this machine are read from disk."""
    answers = road.ask_all({"do": "events", "after_ms": after_ms - 1}, STATUS_TIMEOUT_S)
    found: list[dict[str, Any]] = []
    for name, answer in answers.items():
        found += _from_disk(road.cluster, name) if isinstance(answer, Silent) else answer.get("events", [])
    return merge_events(found, after_ms)


def merge_events(found: list[dict[str, Any]], after_ms: int) -> list[dict[str, Any]]:
    """Each event once, as the first who tells it does, in the order of time."""
    once: dict[str, dict[str, Any]] = {}
    for event in found:
        if event["stamp_ms"] >= after_ms:
            once.setdefault(event["id"], event)
    return sorted(once.values(), key=lambda event: (event["stamp_ms"], str(event["id"])))


def event_line(event: dict[str, Any]) -> str:
    """One event for people."""
    moment = datetime.fromtimestamp(event["stamp_ms"] / 1000)
    return f"{moment:%H:%M:%S}.{event['stamp_ms'] % 1000:03} {event['node']} {event['kind']}: {event['text']}"


def _from_disk(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    try:
        lines = (cluster.run_folder / name / EVENTS_FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last line of a killed node may be torn
        if isinstance(event, dict) and {"id", "stamp_ms", "node", "kind", "text"} <= event.keys():
            found.append(event)
    return found
