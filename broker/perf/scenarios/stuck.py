"""`warren perf stuck`: how much disk one message pins that nobody acknowledges, with millions behind it long consumed.

Decides who holds the message and when the disk is looked at. It must not know how a broker cleans up.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import trio

from broker.perf.blocks import CHANNEL
from broker.perf.client import Client, Target
from broker.perf.flow import Consumer
from broker.perf.meter import Meter
from broker.perf.numbered import Sequence
from broker.perf.report import Missed, brokers_meant, queue_arguments
from broker.perf.scenarios.options import carried_out, shared, tell
from broker.perf.server import Peak, disk_bytes, settled
from broker.perf.traffic import Freight, carry, declare, put, take
from broker.wire.methods import QueueDelete

HOLD_TIMEOUT_S = 10.0
TITLES = {
    "messages": "messages consumed behind it",
    "end_to_end_rate": "  per second",
    "disk_before_bytes": "on disk before",
    "disk_peak_bytes": "  peak",
    "disk_after_bytes": "  after, settled",
    "disk_growth_bytes": "  growth",
    "missing": "missing",
    "disorders": "out of order",
}
EPILOG = """\b
Examples:
  warren perf stuck --data data/n1
  warren perf stuck --url amqp://localhost --data /var/lib/rabbitmq/mnesia --count 1000000 --json"""


@click.command(epilog=EPILOG)
@shared(5_000_000, 100)
@click.option("--data", "folders", multiple=True, required=True, type=click.Path(path_type=Path, exists=True),
              help="Where the broker keeps its files.")  # fmt: skip
@click.option("--ack-every", default=500, show_default=True, type=click.IntRange(1, 16000), help="Of those behind it.")
@click.option("--settle", "settle_s", default=30.0, show_default=True, help="Seconds for the disk to settle, at most.")
def stuck(
    urls: tuple[str, ...],
    config: Path | None,
    pids: list[int],
    arguments: tuple[str, ...],
    count: int,
    folders: tuple[Path, ...],
    settle_s: float,
    timeout_s: float,
    *,
    as_json: bool,
    **freight: Any,
) -> None:
    """Hold one persistent message unacknowledged while many behind it are consumed; what stays on disk.

    Exit code 1 if a message is missing or out of order, the held one included.
    """
    target = brokers_meant(urls, config)[0]
    load = Freight(target, persistent=True, arguments=queue_arguments(arguments), **freight)
    scenario = partial(measure, load, count, partial(disk_bytes, folders), settle_s)
    tell(carried_out(scenario, timeout_s), TITLES, as_json=as_json)


async def measure(freight: Freight, count: int, look: Any, settle_s: float) -> dict[str, Any]:
    """The figures; `look` says how many bytes there are on disk."""
    async with await Client.open(freight.target) as steward:
        await declare(steward, freight)
        before = await settled(look, settle_s)
        peak = Peak(look)
        await put(freight, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peak.watch)
            await _hold(freight.target, freight.queue, nursery)
            passed = await carry(freight, count, first=2)
            after = await settled(look, settle_s)
            nursery.cancel_scope.cancel()  # and the message returns
        returned = await take(replace(freight, ack_every=1), 1)
        await steward.call(QueueDelete(queue=freight.queue), CHANNEL)
    return {
        "scenario": "stuck",
        "messages": passed.count,
        "size": freight.size,
        "end_to_end_rate": passed.rate,
        "disk_before_bytes": before,
        "disk_peak_bytes": max(peak.bytes, after),
        "disk_after_bytes": after,
        "disk_growth_bytes": after - before,
        "missing": count - passed.count + 1 - returned.count,
        "disorders": passed.disorders + returned.disorders,
    }


async def _hold(target: Target, queue: str, nursery: trio.Nursery) -> None:
    """Take one message and keep it until the nursery is cancelled."""
    client, meter = await Client.open(target), Meter()
    consumer = Consumer(client, [queue], meter, Sequence(), ack_every=2)  # the second never comes
    await consumer.prepare(1)

    async def hold() -> None:
        try:
            await consumer.run()
        finally:
            client.close_now()

    nursery.start_soon(hold)
    with trio.move_on_after(HOLD_TIMEOUT_S):
        while not meter.delivered.count:  # noqa: ASYNC110  the hot path of a consumer has no event for it
            await trio.sleep(0.01)
        return
    raise Missed("the message that is to be held was not delivered")
