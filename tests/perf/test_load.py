"""A load against a small broker: everything arrives, is confirmed, is counted; and a refusal is told."""

import json
from collections.abc import Callable
from functools import partial

import pytest
from click.testing import CliRunner

from broker.perf.client import Closed, Target, target_of
from broker.perf.flow import Pace
from broker.perf.load import Load, command, measure
from broker.perf.meter import Meter, table
from broker.world.network import TcpNetwork
from tests.perf.fake_broker import FakeBroker, serving


@pytest.mark.parametrize(
    "load",
    [
        partial(Load, pace=Pace(count=5000)),
        partial(Load, pace=Pace(count=3000, window=100), persistent=True, ack_every=50, prefetch=100),
        partial(Load, pace=Pace(count=200, window=1)),
        partial(Load, pace=Pace(count=500), sizes=(0, 12, 3000, 200_000), producers=2, consumers=3, queues=2),
        partial(Load, pace=Pace(count=300), producers=1, consumers=2, queues=5),
        partial(Load, pace=Pace(rate=2000, seconds=0.2)),
    ],
)
async def test_every_message_arrives_and_is_counted(load: Callable[..., Load]) -> None:
    broker = FakeBroker()
    async with serving(broker) as target:
        plan = load(targets=(target,))
        figures = await measure(plan)
    assert figures["published"] == figures["delivered"] == broker.published > 0
    assert figures["missing"] == figures["refused"] == 0
    assert figures["confirmed"] == (figures["published"] if plan.pace.window else 0)
    if plan.pace.count:
        assert figures["published"] == plan.pace.count * plan.producers
    assert figures["latency"] is not None
    if plan.ack_every:
        assert broker.acknowledged == figures["delivered"]
    assert sorted(broker.deleted) == plan.queue_names


async def test_a_backlog_is_left_and_taken() -> None:
    broker = FakeBroker()
    async with serving(broker) as target:
        left = await measure(Load((target,), consumers=0, pace=Pace(count=100), keep=True))
        assert (left["published"], left["missing"], len(broker.queues["perf.0001"])) == (100, None, 100)
        taken = await measure(Load((target,), producers=0, pace=Pace(count=100), keep=True))
    assert (taken["delivered"], taken["missing"]) == (100, None)
    assert not broker.deleted


async def test_a_refusal_is_told_in_the_brokers_words() -> None:
    async with serving(FakeBroker(allowed=set())) as target:
        with pytest.raises(Closed, match=r"403 ACCESS_REFUSED - queue 'perf\.0001'"):
            await measure(Load((target,)))


async def test_nobody_there_is_told() -> None:
    listener = await TcpNetwork().listen("127.0.0.1:0")
    listener.close_now()
    with pytest.raises(Closed, match="refused"):
        await measure(Load((Target(listener.address),)))


def test_the_pace_keeps_count_window_and_rate() -> None:
    assert Pace().room(10**9, 0, 0.0) == float("inf")
    assert Pace(count=10).room(4, 0, 0.0) == 6
    assert Pace(window=100).room(50, 10, 0.0) == 60
    assert Pace(window=100).room(90, 10, 0.0) == 0, "20 free are not a quarter of the window"
    assert Pace(window=100, count=95).room(90, 10, 0.0) == 5, "but all that is left is"
    assert Pace(window=1).room(1, 1, 0.0) == 1
    assert Pace(rate=1000).room(4, 0, 0.01) == 7
    assert Pace(rate=1000).room(20, 0, 0.01) == 0
    assert Pace(seconds=5).is_over(0, 5.0)
    assert not Pace(seconds=5, count=9).is_over(8, 6.0)


def test_urls() -> None:
    assert target_of("amqp://localhost") == Target("localhost:5672", "guest", "guest", "/", False)
    assert target_of("amqps://u:p%40@[::1]/a%2Fb") == Target("[::1]:5671", "u", "p@", "a/b", True)
    with pytest.raises(ValueError, match="no AMQP URL"):
        target_of("http://localhost")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--url", "nonsense"], "no AMQP URL"),
        (["--size", "12,x"], "invalid literal"),
        (["--prefetch", "10", "--ack-every", "20"], "wait for ever"),
        (["--producers", "0", "--consumers", "0"], "nothing to do"),
    ],
)
def test_misuse_is_told(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert complaint in result.output


def test_an_unreachable_broker_is_one_line_and_exit_code_1() -> None:
    result = CliRunner().invoke(command, ["--url", "amqp://127.0.0.1:1/", "--json"])
    assert result.exit_code == 1
    assert result.output == "perf: 127.0.0.1:1: connection refused\n"


def test_figures_for_people_and_machines() -> None:
    meter = Meter()
    meter.published.add(1000, 1_000_000_000)
    meter.published.add(1000, 2_000_000_000)
    meter.delivered.add(1999, 2_500_000_000)
    meter.latency.add([1000, 2_500_000])
    figures = meter.figures(expected=2000)
    assert (figures["publish_rate"], figures["missing"], figures["seconds"]) == (2000, 1, 1.5)
    assert figures["latency"]["max_us"] == 2500
    json.dumps(figures)
    lines = table(figures)
    assert "missing                  1" in lines
    assert lines[-1].startswith("publish to delivery: p50 1 us")
