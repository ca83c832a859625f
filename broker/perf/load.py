"""`warren perf`: publishers and consumers against any AMQP 0-9-1 broker, and how fast it was.

Decides the shape of a load: which connections, which queues, when it ends. It must not know how bytes are made
(`blocks`), counted (`tally`) or paced (`flow`). It is a client like any other and runs in one process: a message costs
it some nanoseconds, so the broker is what is measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import trio
from click.core import ParameterSource

from broker.perf.blocks import CHANNEL, Block
from broker.perf.client import Client, Target
from broker.perf.flow import Consumer, Pace, Publisher
from broker.perf.meter import Meter, table
from broker.perf.report import brokers_meant, conclude, measured, queue_arguments, target_options, with_json
from broker.perf.scenarios.backlog import backlog
from broker.perf.scenarios.many import many
from broker.perf.scenarios.recovery import recovery
from broker.perf.scenarios.stuck import stuck
from broker.perf.tally import Tally
from broker.wire.methods import ExchangeDeclare, ExchangeDelete, QueueBind, QueueDeclare, QueueDelete, QueuePurge

IDLE_S = 10.0
"""No delivery for so long: what is missing will not come."""


@dataclass(frozen=True)
class Load:
    """What to do. Sizes are bytes; `fanout`: every queue gets every message."""

    targets: tuple[Target, ...]
    producers: int = 1
    consumers: int = 1
    queues: int = 1
    name: str = "perf"
    sizes: tuple[int, ...] = (12,)
    pace: Pace = field(default_factory=Pace)
    persistent: bool = False
    durable: bool = False
    fanout: bool = False
    prefetch: int = 0
    ack_every: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)
    keep: bool = False

    @property
    def queue_names(self) -> list[str]:
        """Equally long, so that deliveries are."""
        return [f"{self.name}.{number:04}" for number in range(1, self.queues + 1)]

    @property
    def exchange(self) -> str:
        """Where publishers publish to: the default exchange, or one of its own that copies to all."""
        return self.name if self.fanout else ""


async def measure(load: Load) -> dict[str, Any]:
    """Carry out a load; its figures. Raises Closed or Interrupted if the broker ends it."""
    meter = Meter()
    async with await Client.open(load.targets[0]) as steward:
        await _declare(steward, load)
        try:
            await _flow(load, meter)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + IDLE_S):
                await _delete(steward, load)
    copies = load.queues if load.fanout else 1
    known = load.producers and load.consumers
    return meter.figures(expected=(meter.published.count - meter.refused) * copies if known else None)


async def _flow(load: Load, meter: Meter) -> None:
    clients: list[Client] = []
    targets = load.targets

    async def connect() -> Client:
        clients.append(await Client.open(targets[len(clients) % len(targets)]))
        return clients[-1]

    try:
        publishers = [await _publisher(await connect(), number, load, meter) for number in range(load.producers)]
        consumers = [await _consumer(await connect(), number, load, meter) for number in range(load.consumers)]
        async with trio.open_nursery() as nursery:
            for consumer in consumers:
                nursery.start_soon(consumer.run)
            with trio.move_on_after(math.inf if publishers else load.pace.seconds):
                if publishers:
                    async with trio.open_nursery() as publishing:
                        for publisher in publishers:
                            publishing.start_soon(publisher.run)
                copies = load.queues if load.fanout else 1
                await _drain(load, meter, (meter.published.count - meter.refused) * copies if publishers else None)
            nursery.cancel_scope.cancel()
        for consumer in consumers:
            await consumer.finish()
    finally:
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.close)


async def _publisher(client: Client, number: int, load: Load, meter: Meter) -> Publisher:
    names = load.queue_names
    mine = [""] if load.fanout else names[number :: load.producers] or [names[number % load.queues]]
    addresses = [(load.exchange, name) for name in mine]
    block = Block(addresses, load.sizes, client.frame_max, persistent=load.persistent)
    publisher = Publisher(client, block, load.pace, meter)
    await publisher.prepare()
    return publisher


async def _consumer(client: Client, number: int, load: Load, meter: Meter) -> Consumer:
    names = load.queue_names
    mine = names[number :: load.consumers] or [names[number % load.queues]]
    # Messages that stood in a queue before may have any length.
    uniform = load.producers > 0 and len(load.sizes) == 1 and not load.keep
    consumer = Consumer(client, mine, meter, Tally(uniform=uniform), ack_every=load.ack_every)
    await consumer.prepare(load.prefetch)
    return consumer


async def _drain(load: Load, meter: Meter, expected: int | None) -> None:
    """Wait until everything was delivered, or nothing more comes."""
    if not load.consumers:
        return
    seen, idle_since = -1, trio.current_time()
    while expected is None or meter.delivered.count < expected:
        if meter.delivered.count != seen:
            seen, idle_since = meter.delivered.count, trio.current_time()
        elif trio.current_time() - idle_since > IDLE_S:
            return
        if expected is None and load.pace.count and seen >= load.pace.count:
            return
        await trio.sleep(0.005)


async def _declare(steward: Client, load: Load) -> None:
    durable = load.durable or load.persistent
    if load.fanout:
        await steward.call(ExchangeDeclare(exchange=load.exchange, type="fanout", durable=durable), CHANNEL)
    for name in load.queue_names:
        await steward.call(QueueDeclare(queue=name, durable=durable, arguments=load.arguments), CHANNEL)
        if not load.keep:
            # What an interrupted run left would be counted as if it were ours.
            await steward.call(QueuePurge(queue=name), CHANNEL)
        if load.fanout:
            await steward.call(QueueBind(queue=name, exchange=load.exchange), CHANNEL)


async def _delete(steward: Client, load: Load) -> None:
    if load.keep:
        return
    for name in load.queue_names:
        await steward.call(QueueDelete(queue=name), CHANNEL)
    if load.fanout:
        await steward.call(ExchangeDelete(exchange=load.exchange), CHANNEL)


EPILOG = """\b
Examples:
  warren perf                                     12-byte messages as fast as the broker can, for 5 s
  warren perf --persistent --confirm 1000 --ack-every 200 --prefetch 1000
  warren perf --url amqp://guest:guest@localhost:5672/ --rate 1000 --size 1024   latency at a steady rate
  warren perf --consumers 0 --count 100000 --keep        leave a backlog
  warren perf --fanout --queues 10 --json
  warren perf backlog --help                      a scenario: what a backlog costs"""


class Perf(click.Group):
    """A command of its own, and the scenarios below it, each of which has options of its own."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """A scenario need not be named."""
        return ["[OPTIONS]", "[SCENARIO [OPTIONS]]"]


@click.group(name="perf", cls=Perf, epilog=EPILOG, invoke_without_command=True)
@target_options
@click.option("--producers", default=1, show_default=True, type=click.IntRange(0), help="Publishing connections.")
@click.option("--consumers", default=1, show_default=True, type=click.IntRange(0), help="Consuming connections.")
@click.option("--queues", default=1, show_default=True, type=click.IntRange(1, 9999), help="Queues, shared out evenly.")
@click.option("--name", default="perf", show_default=True, help="Queues are NAME.0001 and so on.")
@click.option("--size", "sizes", default="12", show_default=True, help="Bytes of a body; 12,100,9000 takes turns.")
@click.option("--seconds", default=5.0, show_default=True, help="How long to publish.")
@click.option("--count", default=0, help="Messages of each producer, instead of --seconds.")
@click.option("--rate", default=0.0, help="Messages a second of each producer; 0 = as fast as it can.")
@click.option("--confirm", "window", default=0, help="Publisher confirms, so many unanswered at most; 0 = none.")
@click.option("--persistent", is_flag=True, help="Persistent messages in durable queues.")
@click.option("--durable", is_flag=True, help="Durable queues also for transient messages.")
@click.option("--fanout", is_flag=True, help="Through a fanout exchange: every queue gets every message.")
@click.option("--prefetch", default=0, type=click.IntRange(0, 65535), help="Unacknowledged messages of a consumer.")
@click.option("--ack-every", default=0, help="Acknowledge every so many deliveries; 0 = no acknowledgements.")
@click.option("--argument", "arguments", multiple=True, metavar="KEY=VALUE", help="Queue argument.")
@click.option("--keep", is_flag=True, help="Take the queues as they are, and leave them.")
@with_json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    urls: tuple[str, ...],
    config: Path | None,
    sizes: str,
    arguments: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Measure any AMQP 0-9-1 broker: rates, and latencies by percentile.

    Exit code 0 if every message arrived, 1 if some did not or the broker ended it.
    """
    if ctx.invoked_subcommand is not None:
        if any(ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ctx.params):
            raise click.UsageError("the options of a scenario stand behind its name")
        return
    load = _load_of(brokers_meant(urls, config), sizes, arguments, **options)
    figures = measured(measure, load)
    conclude(figures, table(figures), as_json=as_json, failed=bool(figures["missing"] or figures["refused"]))


for scenario in (backlog, recovery, many, stuck):
    command.add_command(scenario)


def _load_of(
    brokers: tuple[Target, ...],
    sizes: str,
    arguments: Sequence[str],
    *,
    seconds: float,
    count: int,
    rate: float,
    window: int,
    **options: Any,
) -> Load:
    try:
        numbers = tuple(int(size) for size in sizes.split(","))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if min(numbers) < 0:
        raise click.UsageError(f"--size {sizes}: a body has no negative length")
    if options["prefetch"] and options["ack_every"] > options["prefetch"]:
        raise click.UsageError("--ack-every must not be above --prefetch: the consumer would wait for ever")
    if not options["producers"] + options["consumers"]:
        raise click.UsageError("--producers 0 --consumers 0: nothing to do")
    table_of = queue_arguments(arguments)
    return Load(brokers, sizes=numbers, pace=Pace(rate, window, seconds, count), arguments=table_of, **options)
