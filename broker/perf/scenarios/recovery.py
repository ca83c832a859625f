"""`warren perf recovery`: how long a broker takes from its end until a full queue answers again.

Decides from when to when: the clock runs from the moment at which a connection that was held open breaks, and, told
apart, from the start of the user's command. It must not know how a broker is restarted: the user's command does that.
"""

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import click
import trio

from broker.perf.blocks import CHANNEL
from broker.perf.client import Client, Closed
from broker.perf.report import Missed, brokers_meant, queue_arguments
from broker.perf.scenarios.options import carried_out, shared, tell
from broker.perf.server import disk_bytes
from broker.perf.traffic import Freight, declare, depth, put, take
from broker.wire.methods import QueueDelete

ASK_EVERY_S = 0.02
OPEN_TIMEOUT_S = 2.0
END_TIMEOUT_S = 10.0
TITLES = {
    "messages": "messages",
    "publish_rate": "published and confirmed, per second",
    "data_bytes": "on disk before the restart",
    "command_s": "the command took",
    "listening_s": "from the end to the first login",
    "recovery_s": "from the end to all messages",
    "from_command_s": "from the command to all messages",
    "drain_rate": "drained, per second",
    "missing": "missing",
    "disorders": "out of order",
}
EPILOG = """\b
Examples:
  warren perf recovery --restart 'warren restart n1'
  warren perf recovery --restart 'warren kill n1; warren start n1' --count 1000000
  warren perf recovery --url amqp://localhost --restart 'rabbitmqctl stop; rabbitmq-server -detached' --json"""


@click.command(epilog=EPILOG)
@shared(1_000_000, 100)
@click.option("--restart", required=True, metavar="COMMAND", help="Ends the broker and starts it again (a shell's).")
@click.option("--data", "folders", multiple=True, type=click.Path(path_type=Path), help="The broker's files.")
@click.option("--ack-every", default=500, show_default=True, type=click.IntRange(0, 16000), help="When draining.")
def recovery(
    urls: tuple[str, ...],
    config: Path | None,
    pids: list[int],
    arguments: tuple[str, ...],
    count: int,
    restart: str,
    folders: tuple[Path, ...],
    timeout_s: float,
    *,
    as_json: bool,
    **freight: Any,
) -> None:
    """Publish persistent messages, restart the broker, wait until the queue has them all, and check by draining.

    Processes change with a restart, so --pid means nothing here. Exit code 1 if a message is missing or out of order.
    """
    target = brokers_meant(urls, config)[0]
    load = Freight(target, persistent=True, arguments=queue_arguments(arguments), **freight)
    scenario = partial(measure, load, count, restart, folders)
    tell(carried_out(scenario, timeout_s), TITLES, as_json=as_json)


async def measure(freight: Freight, count: int, restart: str, folders: tuple[Path, ...]) -> dict[str, Any]:
    """The figures."""
    async with await Client.open(freight.target) as steward:
        await declare(steward, freight)
    meter = await put(freight, count)
    confirmed = meter.confirmed.count
    data_bytes = disk_bytes(folders)
    times = await _restarted(freight, restart, confirmed)
    drained = await take(freight, confirmed)
    async with await Client.open(freight.target) as steward:
        await steward.call(QueueDelete(queue=freight.queue), CHANNEL)
    return {
        "scenario": "recovery",
        "messages": confirmed,
        "size": freight.size,
        "publish_rate": meter.confirmed.rate(meter.published.first_ns),
        "data_bytes": data_bytes if folders else None,
        **times,
        "drain_rate": drained.rate,
        "missing": confirmed - drained.count + meter.refused,
        "disorders": drained.disorders,
    }


async def _restarted(freight: Freight, restart: str, count: int) -> dict[str, float]:
    """Carry the command out, and ask until the queue has so many. Raises Missed if the broker did not end."""
    began = trio.current_time()
    times: dict[str, float] = {}
    ended = trio.Event()

    async def command() -> None:
        done = await trio.run_process(restart, shell=True, check=False, stdout=subprocess.DEVNULL)
        times["command_s"] = round(trio.current_time() - began, 3)
        if done.returncode:
            raise Missed(f"{restart!r} ended with {done.returncode}")
        with trio.move_on_after(END_TIMEOUT_S):  # a process with much memory takes a while to end
            await ended.wait()
        if not ended.is_set():
            raise Missed(f"{restart!r} has come to its end, and a connection from before is still open")

    async with trio.open_nursery() as nursery:
        held = await Client.open(freight.target)
        nursery.start_soon(command)
        try:
            while True:
                await held.receive()
        except Closed:
            since = trio.current_time()
            ended.set()
        finally:
            held.close_now()
        while not await _has(freight, count, since, times):  # noqa: ASYNC110  a broker that is down tells nobody
            await trio.sleep(ASK_EVERY_S)
        times["recovery_s"] = round(trio.current_time() - since, 3)
        times["from_command_s"] = round(trio.current_time() - began, 3)
    return times


async def _has(freight: Freight, count: int, since: float, times: dict[str, float]) -> bool:
    """Whether the queue answers, with everything; the first login is noted."""
    try:
        async with await Client.open(freight.target, timeout_s=OPEN_TIMEOUT_S) as client:
            times.setdefault("listening_s", round(trio.current_time() - since, 3))
            return await depth(client, freight.queue) >= count
    except Closed:
        return False
