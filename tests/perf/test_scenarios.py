"""Scenarios against a small broker: everything is moved, counted and checked, and a loss is told by the exit code."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from broker.perf import traffic
from broker.perf.client import Closed, Target
from broker.perf.load import command
from broker.perf.report import Missed
from broker.perf.scenarios import backlog, many, recovery, stuck
from broker.perf.server import Server, disk_bytes
from broker.perf.traffic import Freight, Slices
from tests.perf.fake_broker import FakeBroker, serving


def freight(target: Target, *, persistent: bool = True, ack_every: int = 0) -> Freight:
    return Freight(target, "q", 100, persistent=persistent, window=200, ack_every=ack_every)


@pytest.mark.parametrize("ack_every", [0, 50])
async def test_a_backlog_is_put_looked_at_and_drained(ack_every: int) -> None:
    broker = FakeBroker()
    async with serving(broker) as target:
        load = freight(target, ack_every=ack_every)
        figures = await backlog.measure(load, Server([]), 3000, settle_s=0, reference=1000)
    assert (figures["messages"], figures["depth"], figures["drained"]) == (3000, 3000, 3000)
    assert (figures["missing"], figures["disorders"], len(figures["publish_rates"])) == (0, 0, 10)
    assert min(figures["drain_rate"], figures["end_to_end_rate"], figures["publish_rate"]) > 0
    assert figures["resident_growth_bytes"] is None
    assert broker.deleted[-1] == "q"


async def test_a_message_lost_from_a_backlog_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "IDLE_S", 0.2)
    async with serving(FakeBroker(lose=lambda number: number in (500, 3100))) as target:
        figures = await backlog.measure(freight(target), Server([]), 3000, settle_s=0, reference=1000)
    assert (figures["messages"], figures["depth"]) == (3000, 2999)
    assert (figures["missing"], figures["disorders"]) == (2, 2)


@pytest.mark.parametrize(("lost", "missing"), [(0, 0), (700, 1)])
async def test_many_queues_and_one_get_the_same(lost: int, missing: int) -> None:
    names = {many.ONE: ["q.0"], many.MANY: ["q.1", "q.2", "q.3"]}
    broker = FakeBroker(lose=lambda number: number == lost)
    async with serving(broker) as target:
        figures = await many.measure(target, names, Server([]), 600, size=20, window=100, arguments={})
    assert (figures["one_confirmed"], figures["many_confirmed"], figures["missing"]) == (600, 600, missing)
    assert figures["many_to_one"] > 0
    assert not any(broker.queues.values())


async def test_one_is_held_while_the_others_pass(tmp_path: Path) -> None:
    broker = FakeBroker()
    (tmp_path / "log").write_bytes(bytes(50_000))
    async with serving(broker) as target:
        look = partial(disk_bytes, [tmp_path])
        figures = await stuck.measure(freight(target, ack_every=20), 1000, look, 0)
    assert (figures["messages"], figures["missing"], figures["disorders"]) == (1000, 0, 0)
    assert figures["disk_growth_bytes"] == 0 < 50_000 <= figures["disk_before_bytes"]


class Mortal(FakeBroker):
    """Dies as soon as a file appears, and comes back with what it had, or with less, when another one does."""

    def __init__(self, folder: Path, *, forgets: int = 0) -> None:
        super().__init__()
        self.folder = folder
        self.forgets = forgets
        self.streams: list[Any] = []

    async def serve(self, stream: Any, node: str = "") -> None:
        if (self.folder / "dead").exists() and not (self.folder / "alive").exists():
            stream.close_now()
            return
        self.streams.append(stream)
        await super().serve(stream, node)

    async def die(self) -> None:
        while not (self.folder / "dead").exists():  # noqa: ASYNC110  a file tells nobody
            await trio.sleep(0.01)
        for stream in self.streams:
            stream.close_now()
        for name in self.queues:
            del self.queues[name][: self.forgets]


@pytest.mark.parametrize("forgets", [0, 3])
async def test_a_recovery_is_waited_for_and_its_messages_are_counted(tmp_path: Path, forgets: int) -> None:
    broker = Mortal(tmp_path, forgets=forgets)
    restart = f"touch {tmp_path}/dead; sleep 0.2; touch {tmp_path}/alive"
    async with serving(broker) as target, trio.open_nursery() as nursery:
        nursery.start_soon(broker.die)
        with trio.move_on_after(1 if forgets else 30):
            figures = await recovery.measure(freight(target, ack_every=50), 1000, restart, ())
            assert (figures["messages"], figures["missing"], figures["disorders"]) == (1000, 0, 0)
            assert 0.1 < figures["recovery_s"] <= figures["from_command_s"]
            assert figures["listening_s"] <= figures["recovery_s"]
            assert not forgets
            return
    assert forgets, "a broker that has lost something never has all of it"


@pytest.mark.parametrize(
    ("restart", "complaint"), [("exit 3", "ended with 3"), ("true", "a connection from before is still open")]
)
async def test_a_restart_that_was_none_is_told(restart: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "END_TIMEOUT_S", 0.05)
    async with serving(FakeBroker()) as target:
        with pytest.RaisesGroup(pytest.RaisesExc(Missed, match=complaint)):
            await recovery.measure(freight(target), 100, restart, ())


async def test_a_queue_that_is_refused_is_told() -> None:
    async with serving(FakeBroker(allowed=set())) as target:
        with pytest.raises(Closed, match="ACCESS_REFUSED"):
            await backlog.measure(freight(target), Server([]), 100, settle_s=0, reference=100)


def test_slices_have_their_own_rates() -> None:
    slices = Slices(100)
    for number in range(1, 11):
        slices.add(10, number**2 * 1_000_000_000)
    assert slices.rates(0) == [round(10 / (2 * number - 1)) for number in range(1, 11)]
    coarse = Slices(100)
    coarse.add(35, 1_000_000_000)
    coarse.add(65, 2_000_000_000)
    assert coarse.rates(0) == [35, 65]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--json", "backlog"], "the options of a scenario stand behind its name"),
        (["backlog", "--pid", "12,x"], "invalid literal"),
        (["backlog", "--size", "7"], "7 is not in the range"),
        (["recovery"], "Missing option '--restart'"),
        (["stuck"], "Missing option '--data'"),
        (["nonsense"], "No such command"),
    ],
)
def test_misuse_is_told(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert complaint in result.output


@pytest.mark.parametrize("name", ["backlog", "recovery", "many", "stuck"])
def test_every_scenario_has_an_example(name: str) -> None:
    result = CliRunner().invoke(command, [name, "--help"])
    assert result.exit_code == 0
    assert f"warren perf {name}" in result.output


def test_a_scenario_without_a_broker_is_one_line_and_exit_code_1() -> None:
    result = CliRunner().invoke(command, ["many", "--url", "amqp://127.0.0.1:1/", "--json"])
    assert (result.exit_code, result.output) == (1, "perf: 127.0.0.1:1: connection refused\n")
