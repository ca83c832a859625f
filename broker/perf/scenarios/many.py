"""`warren perf many`: many durable queues published to in turn, against one.

Decides the order (one, many, many, one, so that a slow drift cancels out) and what counts as missing: what was
confirmed and is not there to be purged. It must not know how messages are moved.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from broker.perf.blocks import CHANNEL, Block
from broker.perf.client import Client, Target
from broker.perf.flow import Pace, Publisher
from broker.perf.meter import Meter
from broker.perf.report import brokers_meant, queue_arguments
from broker.perf.scenarios.options import NO_PIDS, carried_out, shared, tell
from broker.perf.server import Server
from broker.perf.traffic import purge
from broker.wire.methods import QueueDeclare, QueueDelete

ONE, MANY = "one", "many"
TITLES = {
    "queues": "queues",
    "one_rate": "confirmed by one queue, per second",
    "many_rate": "confirmed by many, per second",
    "many_to_one": "  many to one",
    "one_server_cpu_s_per_million": "server CPU s per million, one queue",
    "many_server_cpu_s_per_million": "  many",
    "missing": "missing",
}
EPILOG = """\b
Examples:
  warren perf many                                   200 queues, 1 KiB, persistent
  warren perf many --queues 1000 --size 100 --count 500000 --json"""


@click.command(epilog=EPILOG)
@shared(200_000, 1024)
@click.option("--queues", default=200, show_default=True, type=click.IntRange(2, 9999), help="How many are many.")
def many(
    urls: tuple[str, ...],
    config: Path | None,
    pids: list[int],
    arguments: tuple[str, ...],
    count: int,
    queues: int,
    queue: str,
    size: int,
    window: int,
    timeout_s: float,
    *,
    as_json: bool,
) -> None:
    """Publish persistent messages with confirms to many durable queues in turn, and as many to one.

    --count for either. Exit code 1 if a message is missing.
    """
    names = {ONE: [f"{queue}.0000"], MANY: [f"{queue}.{number:04}" for number in range(1, queues + 1)]}
    target = brokers_meant(urls, config)[0]
    scenario = partial(
        measure, target, names, Server(pids), count, size=size, window=window, arguments=queue_arguments(arguments)
    )
    tell(carried_out(scenario, timeout_s), TITLES, as_json=as_json, remark="" if pids else NO_PIDS)


async def measure(
    target: Target,
    names: dict[str, list[str]],
    server: Server,
    count: int,
    *,
    size: int,
    window: int,
    arguments: dict[str, Any],
) -> dict[str, Any]:
    """The figures."""
    took_s, cpu_s = {ONE: 0.0, MANY: 0.0}, {ONE: 0.0, MANY: 0.0}
    confirmed, stored = {ONE: 0, MANY: 0}, 0
    async with await Client.open(target) as steward:
        for name in names[ONE] + names[MANY]:
            await steward.call(QueueDelete(queue=name), CHANNEL)
            await steward.call(QueueDeclare(queue=name, durable=True, arguments=arguments), CHANNEL)
        for kind in (ONE, MANY, MANY, ONE):
            before_s = server.cpu_s()
            meter = await _publish(target, names[kind], count // 2, size, window)
            cpu_s[kind] += server.cpu_s() - before_s
            took_s[kind] += (meter.confirmed.last_ns - meter.published.first_ns) / 1e9
            confirmed[kind] += meter.confirmed.count
            for name in names[kind]:
                stored += await purge(steward, name)
        for name in names[ONE] + names[MANY]:
            await steward.call(QueueDelete(queue=name), CHANNEL)
    rates = {kind: confirmed[kind] / took_s[kind] if took_s[kind] else 0.0 for kind in (ONE, MANY)}
    figures: dict[str, Any] = {"scenario": "many", "queues": len(names[MANY]), "size": size, "window": window}
    for kind in (ONE, MANY):
        per_million = round(cpu_s[kind] / confirmed[kind] * 1e6, 2) if server and confirmed[kind] else None
        figures |= {
            f"{kind}_confirmed": confirmed[kind],
            f"{kind}_rate": round(rates[kind]),
            f"{kind}_server_cpu_s_per_million": per_million,
        }
    figures["many_to_one"] = round(rates[MANY] / rates[ONE], 3) if rates[ONE] else None
    return {**figures, "missing": sum(confirmed.values()) - stored}


async def _publish(target: Target, queues: Sequence[str], count: int, size: int, window: int) -> Meter:
    meter = Meter()
    async with await Client.open(target) as client:
        block = Block([("", name) for name in queues], [size], client.frame_max, persistent=True)
        publisher = Publisher(client, block, Pace(window=window, count=count), meter)
        await publisher.prepare()
        await publisher.run()
    return meter
