"""`warren browse`: what stands in a queue, without taking anything out of it.

Decides how messages look on a terminal, and how far one command searches. The queue's master reads.
"""

from datetime import datetime
from typing import Any

import click

from broker.cli.options import print_json, with_cluster, with_json, with_vhost
from broker.cli.road import Road
from broker.cli.tables import escaped
from broker.node.configuration import Cluster

SCANNED_MAX = 1_000_000


@click.command(epilog="Example: warren browse orders --search 'customer-42' -n 5")
@click.argument("queue")
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.option("--search", help="Only those with this text in body, exchange, routing key, properties or headers.")
@click.option("--unacked", "state", flag_value="unacked", help="Only those that a consumer holds.")
@click.option("--ready", "state", flag_value="ready", help="Only those that wait for one.")
@click.option("--offset", default=0, metavar="N", type=click.IntRange(0), help="Pass over so many first.")
@click.option("--after", default=0, metavar="POSITION", type=click.IntRange(0), help="Begin behind this position.")
@click.option(
    "--scan", default=SCANNED_MAX, show_default=True, metavar="N", type=click.IntRange(1), help="Search among so many."
)
@click.option("--body-bytes", default=4096, show_default=True, type=click.IntRange(0), help="So much of a body.")
@with_vhost
@with_cluster
@with_json
def browse(
    cluster: Cluster,
    queue: str,
    count: int,
    search: str | None,
    state: str | None,
    offset: int,
    after: int,
    scan: int,
    body_bytes: int,
    vhost: str,
    *,
    as_json: bool,
) -> None:
    """Show messages of QUEUE, ready ones and those that consumers hold, in the order in which they came.

    Nothing changes by that: no message is delivered, flagged or moved, and the queue does not count as used. If there
    is more to see, the last line says behind which position (--after).
    """
    look = {"state": state or "all", "search": search, "body_bytes": body_bytes}
    answer = _look(Road(cluster), {"vhost": vhost, "queue": queue, **look}, count, offset, after, scan)
    if as_json:
        print_json(answer)
        return
    for message in answer["messages"]:
        for line in lines_of(message):
            click.echo(line)
    click.echo(_summary(answer, queue, search))


def _look(road: Road, request: dict[str, Any], count: int, offset: int, after: int, scan: int) -> dict[str, Any]:
    """As many looks as that takes: each shows and passes over a bounded number."""
    node = road.first_that_serves()
    messages: list[dict[str, Any]] = []
    scanned = 0
    while True:
        asked = {"do": "browse", **request, "after": after, "offset": offset, "limit": count - len(messages)}
        answer = road.ask(node, asked)
        messages += answer["messages"]
        scanned += answer["scanned"]
        offset = 0
        if len(messages) >= count or scanned >= scan or answer["next"] is None:
            return {**answer, "messages": messages, "scanned": scanned}
        after = answer["next"]


def lines_of(message: dict[str, Any]) -> list[str]:
    """One message for people."""
    came = f"{datetime.fromtimestamp(message['stamp_ms'] / 1000):%Y-%m-%d %H:%M:%S}" if message["stamp_ms"] else "-"
    flags = " redelivered" if message["redelivered"] else ""
    target = f"{escaped(message['exchange']) or '(default)'} {escaped(message['key'])}".rstrip()
    lines = [f"#{message['position']} {message['state']}{flags} {came} {target}, {message['body_bytes']} bytes"]
    if message["holder"] is not None:
        lines.append(f"  held by {_holder(message['holder'])}")
    if message["properties"]:
        lines.append("  " + " ".join(f"{name}={escaped(str(value))}" for name, value in message["properties"].items()))
    cut = " … (truncated)" if message["truncated"] else ""
    kind = "base64: " if message["encoding"] == "base64" else ""
    lines.append(f"  {kind}{escaped(message['body'])}{cut}")
    return lines


def _holder(holder: dict[str, Any]) -> str:
    how = f"consumer {escaped(holder['consumer_tag'])}" if holder["consumer_tag"] is not None else "basic.get"
    where = f"channel {holder['channel']} of {holder['user']}" if holder["channel"] else "somebody"
    return f"{how}, {where} at {holder['node']}"


def _summary(answer: dict[str, Any], queue: str, search: str | None) -> str:
    there = f"{answer['messages_ready']} ready and {answer['messages_unacknowledged']} unacknowledged in {queue}"
    text = f"{len(answer['messages'])} shown of {there}"
    if search is not None:
        text = f"{len(answer['messages'])} found among {answer['scanned']} of {there}"
    return text + (f"; there are more, --after {answer['next']}" if answer["next"] is not None else "")
