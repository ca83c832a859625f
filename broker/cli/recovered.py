"""`warren recovered`: messages that a queue has lost, and that its nodes have kept for people.

Decides how recovery files are shown and what is said of a replay. The nodes keep, publish and drop.
"""

from datetime import datetime
from typing import Any

import click

from broker.cli.failures import Failed
from broker.cli.lazy_group import LazyGroup
from broker.cli.options import print_json, with_cluster, with_json
from broker.cli.road import Road, ask_cluster
from broker.cli.tables import print_table
from broker.node.configuration import Cluster

COMMANDS = {
    "list": ("broker.cli.recovered:list_files", "List the recovery files of all nodes."),
    "show": ("broker.cli.recovered:show", "Show the messages of a file."),
    "replay": ("broker.cli.recovered:replay", "Publish the messages of a file again, with confirms."),
    "drop": ("broker.cli.recovered:drop", "Remove a file."),
}
COLUMNS = ("queue", "vhost", "messages", "why", "when", "node", "file")
REPLAY_TIMEOUT_S = 3600.0


@click.group(cls=LazyGroup, lazy=COMMANDS, epilog="Example: warren recovered list")
def recovered() -> None:
    """Messages that were confirmed and that their queue has lost to a partition or to a master out of sync."""


@click.command("list", epilog="Example: warren recovered list --json | jq '.files[].file'")
@with_cluster
@with_json
def list_files(cluster: Cluster, *, as_json: bool) -> None:
    """List the recovery files of all nodes."""
    answer = ask_cluster(cluster, {"do": "recovered_list"})
    if as_json:
        print_json(answer)
        return
    if answer["files"]:
        print_table("", COLUMNS, [[_shown(row, column) for column in COLUMNS] for row in answer["files"]])
    else:
        click.echo("nothing is set aside")
    if answer["silent"]:
        click.echo(f"not asked, because they do not run: {', '.join(answer['silent'])}")


@click.command(epilog="Example: warren recovered show orders-n1-1700000000000.jsonl -n 3")
@click.argument("file")
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(1), help="At most so many.")
@with_cluster
@with_json
def show(cluster: Cluster, file: str, count: int, *, as_json: bool) -> None:
    """Show the messages of a file: where they were published, their properties, and their bodies."""
    answer = _fetch(Road(cluster), file, count)
    if as_json:
        print_json(answer)
        return
    for message in answer["messages"]:
        properties = " ".join(f"{name}={value}" for name, value in message["properties"].items())
        click.echo(f"{message['exchange'] or '(default)'} {message['key']} {properties}".rstrip())
        click.echo(f"  {'base64: ' if message['encoding'] == 'base64' else ''}{message['body']}")
    if answer["remaining"]:
        click.echo(f"and {answer['remaining']} more")


def _fetch(road: Road, file: str, count: int) -> dict[str, Any]:
    """The first messages of the file: an answer may have fewer than it was asked for."""
    messages: list[dict[str, Any]] = []
    while True:
        request = {"do": "recovered_show", "file": file, "after": len(messages), "count": count - len(messages)}
        answer = road.ask_any(request)
        messages += answer["messages"]
        if len(messages) >= count or not answer["remaining"]:
            return {"messages": messages, "remaining": answer["remaining"]}


@click.command(epilog="Example: warren recovered replay orders-n1-1700000000000.jsonl --queue orders.again")
@click.argument("file")
@click.option("--queue", help="Into this queue of the same vhost, not through the original exchange.")
@with_cluster
@with_json
def replay(cluster: Cluster, file: str, queue: str | None, *, as_json: bool) -> None:
    """Publish the messages of a file again, through their original exchange and with their key.

    What is confirmed leaves the file, and an empty file goes; what is not stays in it, and the exit code is 1.
    """
    answer = ask_cluster(cluster, {"do": "recovered_replay", "file": file, "queue": queue}, REPLAY_TIMEOUT_S)
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{answer['confirmed']} confirmed")
        if answer["silent"]:
            click.echo(f"not told, and may have kept the same messages: {', '.join(answer['silent'])}")
    if answer["kept"]:
        why = ", ".join(f"{reason}: {messages}" for reason, messages in answer["why"].items())
        raise Failed(f"{answer['kept']} messages stay in {file} ({why})")


@click.command(epilog="Example: warren recovered drop orders-n1-1700000000000.jsonl")
@click.argument("file")
@with_cluster
@with_json
def drop(cluster: Cluster, file: str, *, as_json: bool) -> None:
    """Remove a file, with all its messages."""
    answer = ask_cluster(cluster, {"do": "recovered_drop", "file": file})
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{answer['messages']} messages dropped")


def _shown(row: dict[str, Any], column: str) -> Any:
    if column == "when":
        if not row["stamp_ms"]:
            return None
        return f"{datetime.fromtimestamp(row['stamp_ms'] / 1000):%Y-%m-%d %H:%M:%S}"
    return row[column]
