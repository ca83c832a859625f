"""`warren perf backlog`: what a queue without consumers costs, and how fast it is worked off.

Decides what is measured in which order: the backlog before anything else has warmed the broker up, the same messages
through an empty queue last. It must not know how messages are moved.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import trio

from broker.perf.blocks import CHANNEL
from broker.perf.client import Client
from broker.perf.report import brokers_meant, queue_arguments
from broker.perf.scenarios.options import NO_PIDS, carried_out, shared, tell
from broker.perf.server import Peak, Server, settled
from broker.perf.traffic import Freight, Slices, carry, declare, depth, put, take
from broker.wire.methods import QueueDelete

TITLES = {
    "messages": "messages",
    "publish_rate": "published and confirmed, per second",
    "publish_rates": "  each tenth",
    "last_to_first": "  last tenth to first",
    "resident_before_bytes": "resident memory before",
    "resident_after_bytes": "  after, settled",
    "resident_growth_bytes": "  growth",
    "resident_peak_bytes": "  peak",
    "server_cpu_s_per_million": "server CPU s per million published",
    "drain_rate": "drained, per second",
    "end_to_end_rate": "through an empty queue, per second",
    "drain_to_end_to_end": "  drained to that",
    "missing": "missing",
    "disorders": "out of order",
}
EPILOG = """\b
Examples:
  warren perf backlog --pid "$(pgrep -d, -f 'broker node')"     a million messages of 100 bytes, transient
  warren perf backlog --count 10000000 --persistent --ack-every 500
  warren perf backlog --url amqp://guest:guest@localhost:5672/ --queue-argument x-queue-mode=lazy --json"""


@click.command(epilog=EPILOG)
@shared(1_000_000, 100)
@click.option("--persistent", is_flag=True, help="Persistent messages in a durable queue.")
@click.option("--ack-every", default=0, type=click.IntRange(0, 16000), help="Drain with acknowledgements; 0: without.")
@click.option("--settle", "settle_s", default=10.0, show_default=True, help="Seconds for memory to settle, at most.")
@click.option("--reference", default=1_000_000, show_default=True, help="Messages through the empty queue, at most.")
def backlog(
    urls: tuple[str, ...],
    config: Path | None,
    pids: list[int],
    arguments: tuple[str, ...],
    count: int,
    settle_s: float,
    reference: int,
    timeout_s: float,
    *,
    as_json: bool,
    **freight: Any,
) -> None:
    """Publish a backlog, look at memory, drain it; compare with the same messages through an empty queue.

    Exit code 1 if a message is missing or out of order.
    """
    load = Freight(brokers_meant(urls, config)[0], arguments=queue_arguments(arguments), **freight)
    scenario = partial(measure, load, Server(pids), count, settle_s=settle_s, reference=min(reference, count))
    tell(carried_out(scenario, timeout_s), TITLES, as_json=as_json, remark="" if pids else NO_PIDS)


async def measure(freight: Freight, server: Server, count: int, *, settle_s: float, reference: int) -> dict[str, Any]:
    """The figures."""
    async with await Client.open(freight.target) as steward:
        await declare(steward, freight)
        before = await settled(server.resident_bytes, settle_s)
        cpu_s = server.cpu_s()
        peak = Peak(server.resident_bytes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peak.watch)
            meter = await put(freight, count)
            nursery.cancel_scope.cancel()
        cpu_s = server.cpu_s() - cpu_s
        after = await settled(server.resident_bytes, settle_s)
        standing = await depth(steward, freight.queue)
        drained = await take(freight, standing)
        await declare(steward, freight)
        straight = await carry(replace(freight), reference)
        await steward.call(QueueDelete(queue=freight.queue), CHANNEL)
    assert isinstance(meter.confirmed, Slices)
    rates = meter.confirmed.rates(meter.published.first_ns)
    confirmed = meter.confirmed.count
    return {
        "scenario": "backlog",
        "messages": confirmed,
        "size": freight.size,
        "persistent": freight.persistent,
        "ack_every": freight.ack_every,
        "publish_rate": meter.confirmed.rate(meter.published.first_ns),
        "publish_rates": rates,
        "last_to_first": round(rates[-1] / rates[0], 3) if rates else None,
        "resident_before_bytes": before if server else None,
        "resident_after_bytes": after if server else None,
        "resident_growth_bytes": after - before if server else None,
        "resident_peak_bytes": max(peak.bytes, after) if server else None,
        "server_cpu_s_per_million": round(cpu_s / confirmed * 1e6, 2) if server and confirmed else None,
        "depth": standing,
        "drained": drained.count,
        "drain_rate": drained.rate,
        "end_to_end_rate": straight.rate,
        "drain_to_end_to_end": round(drained.rate / straight.rate, 3) if straight.rate else None,
        "missing": confirmed - drained.count + reference - straight.count + meter.refused,
        "disorders": drained.disorders + straight.disorders,
    }
