"""`warren publish` and `warren get`: a message in, a message out, by hand.

Decides how bodies are written on a terminal. The nodes publish with confirms and fetch like any client.
"""

import base64
import sys
from typing import Any

import click

from broker.cli.failures import Failed
from broker.cli.options import print_json, with_cluster, with_json, with_vhost
from broker.cli.road import ask_cluster
from broker.node.configuration import Cluster


@click.command(epilog="Example: warren publish orders 'first' 'second' --persistent")
@click.argument("words", nargs=-1, required=True, metavar="[QUEUE] TEXT...")
@click.option("--exchange", help="Publish to this exchange instead: then every word is a text.")
@click.option("--key", default="", help="The routing key for --exchange.")
@click.option("--persistent", is_flag=True, help="The messages survive a restart in a durable queue.")
@click.option("--declare", is_flag=True, help="Declare the queue (durable) if there is none.")
@with_vhost
@with_cluster
def publish(
    cluster: Cluster,
    words: tuple[str, ...],
    exchange: str | None,
    key: str,
    vhost: str,
    *,
    persistent: bool,
    declare: bool,
) -> None:
    """Publish messages to QUEUE and wait until they are confirmed. A text of - is read from stdin."""
    texts = words if exchange is not None else words[1:]
    if not texts:
        raise click.UsageError("give the queue, and then the texts")
    if declare and exchange is not None:
        raise click.UsageError("--declare is for a queue, not for --exchange")
    request = {
        "do": "publish",
        "vhost": vhost,
        "exchange": exchange or "",
        "key": key if exchange is not None else words[0],
        "bodies": [encode_body(sys.stdin.buffer.read() if text == "-" else text.encode()) for text in texts],
        "persistent": persistent,
        "declare": declare,
    }
    answer = ask_cluster(cluster, request)
    if answer["unroutable"]:
        where = f"exchange {exchange}" if exchange else f"queue {request['key']}"
        raise Failed(f"{answer['unroutable']} of {len(texts)} messages reached no queue ({where} of vhost {vhost})")
    if answer["refused"]:
        raise Failed(f"{answer['refused']} of {len(texts)} messages were refused (the queue is full)")
    click.echo(f"{answer['published']} confirmed")


@click.command(epilog="Example: warren get orders -n 10 --keep")
@click.argument("queue")
@click.option("-n", "count", default=1, show_default=True, type=click.IntRange(1, 10000), help="At most so many.")
@click.option("--keep", is_flag=True, help="Put them back afterwards.")
@with_vhost
@with_cluster
@with_json
def get(cluster: Cluster, queue: str, count: int, vhost: str, *, keep: bool, as_json: bool) -> None:
    """Take messages from QUEUE and print their bodies. Fails if it is empty."""
    answer = ask_cluster(cluster, {"do": "get", "vhost": vhost, "queue": queue, "count": count, "keep": keep})
    if as_json:
        print_json({"messages": answer["messages"], "remaining": answer["remaining"]})
    else:
        for message in answer["messages"]:
            click.echo(decode_body(message))
    if not answer["messages"]:
        raise Failed(f"queue {queue} of vhost {vhost} is {'paused' if answer['paused'] else 'empty'}")


def encode_body(body: bytes) -> dict[str, str]:
    """A body as JSON can carry it."""
    try:
        return {"body": body.decode("utf-8"), "encoding": "utf8"}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode("ascii"), "encoding": "base64"}


def decode_body(message: dict[str, Any]) -> bytes:
    """The reverse of encode_body."""
    text: str = message["body"]
    return base64.b64decode(text) if message["encoding"] == "base64" else text.encode()
