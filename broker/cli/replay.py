"""`warren replay`: dead letters go back to where they came from.

Decides what is asked and how it is told. The master of their queue sends them.
"""

from typing import Any

import click

from broker.cli.failures import Failed
from broker.cli.options import print_json, with_cluster, with_json, with_vhost
from broker.cli.road import Road
from broker.cli.tables import escaped
from broker.node.configuration import Cluster
from broker.vhosts.portion import added

REASONS = ("rejected", "expired", "maxlen", "delivery_limit")


@click.command(epilog="Example: warren replay dead.orders --reason rejected --dry-run")
@click.argument("dead_queue")
@click.option("--to", metavar="QUEUE", help="Into this queue, not where they came from.")
@click.option("--exchange", help="Through this exchange, not the one they came through.")
@click.option("--key", help="With this routing key, for --exchange; else with their own.")
@click.option(
    "--search",
    "--filter",
    "search",
    metavar="TEXT",
    help="Only those with this text in body, exchange, routing key, properties or headers.",
)
@click.option("--reason", type=click.Choice(REASONS), help="Only those that have died so.")
@click.option("--queue", "original", help="Only those that have died in this queue.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@click.option("--again", is_flag=True, help="Those too that were replayed before.")
@click.option("--dry-run", is_flag=True, help="Only say what would go where.")
@with_vhost
@with_cluster
@with_json
def replay(
    cluster: Cluster, dead_queue: str, vhost: str, limit: int | None, *, dry_run: bool, as_json: bool, **wish: Any
) -> None:
    """Publish the messages of DEAD_QUEUE again, with confirms, where each of them died first: through the exchange and
    with the routing keys that its publisher used.

    A message leaves DEAD_QUEUE when everybody it goes to has it safe. What no queue takes stays, and the exit code is
    1. Consumers see a new message: x-death begins anew, the old one is x-replayed-deaths, x-replay-count says how often
    it came back. What has one is not replayed again without --again, so nothing goes round in circles.
    """
    answer = _replay(Road(cluster), {"vhost": vhost, "queue": dead_queue, "dry_run": dry_run, **wish}, limit)
    if as_json:
        print_json(answer)
    elif dry_run:
        for way in answer["ways"]:
            exchange = escaped(way["exchange"]) or "(default)"
            keys, queues = (escaped(" ".join(way[name])) for name in ("keys", "queues"))
            click.echo(f"{way['messages']} would go through {exchange} with {keys} to {queues}")
    else:
        click.echo(f"{answer['replayed']} replayed")
    if answer["kept"]:
        why = ", ".join(f"{reason}: {messages}" for reason, messages in answer["kept"].items())
        stay = "would stay" if dry_run else "stay"
        raise Failed(f"{sum(answer['kept'].values())} messages {stay} in {dead_queue} ({why})")


def _replay(road: Road, request: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """As many requests as that takes."""
    node = road.first_that_serves()
    answer: dict[str, Any] | None = None
    while True:
        left = limit if limit is None or answer is None else limit - answer["replayed"]
        place = {} if answer is None else {"after": answer["next"], "upto": answer["upto"]}
        asked = {name: value for name, value in {**request, **place, "limit": left}.items() if value is not None}
        done = road.ask(node, {"do": "replay", **asked})
        answer = done if answer is None else added(answer, done)
        if answer["next"] is None or (limit is not None and answer["replayed"] >= limit):
            return answer
