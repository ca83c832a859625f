"""Whole drills against a small cluster in virtual time: a good one loses nothing, a bad one is found out."""

import json
import sys
from random import Random
from typing import Any

import pytest
import trio
from click.testing import CliRunner
from trio.testing import MockClock

from broker.perf import drill
from broker.perf.course import Drill, Orders
from tests.perf.fake_broker import FakeBroker
from tests.perf.fake_cluster import NAMES, FakeCluster


async def drilled(orders: Orders, cluster: FakeCluster | None = None) -> tuple[dict[str, Any], FakeCluster, list[str]]:
    cluster = cluster or FakeCluster(Random(orders.seed), FakeBroker())
    said: list[str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(cluster.run)
        host = cluster.network.host("client")
        report = await Drill(cluster, cluster.targets, orders, said.append, host).run()
        nursery.cancel_scope.cancel()
    return report, cluster, said


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_a_good_cluster_loses_nothing_under_every_fault(seed: int, autojump_clock: MockClock) -> None:
    orders = Orders(rounds=14, faults=("kill", "freeze", "partition"), seed=seed, interval_s=0.05)
    report, cluster, said = await drilled(orders)
    assert (report["lost"], report["failure"], report["unknown"], report["reordered"]) == (0, None, 0, 0)
    assert report["duplicated"] == 0
    assert report["confirmed"] > 2000
    assert report["rounds"] == len(report["course"]) == 14
    assert all(round["s"] < 8 and round["nodes"] for round in report["course"])
    assert {promotion["round"] for promotion in report["promotions"]} == set(range(1, 15))
    assert report["leader_kills"] * 3 >= report["kills"]
    assert drill.exit_code(report) == 0
    assert sum(line.startswith("round ") for line in said) == 14
    assert all(state == "running" for state in cluster.states.values())
    json.dumps(report)


async def test_a_plain_kill_is_timed_from_the_death_to_the_first_confirm(autojump_clock: MockClock) -> None:
    report, _, _ = await drilled(Orders(rounds=1))
    assert [round["fault"] for round in report["course"]] == ["kill"]
    (promotion,) = report["promotions"]
    assert promotion["cause"] == "kill"
    # The takeover takes 50 ms; a publisher publishes every 5 ms and the wire takes up to 2.
    assert 45 < promotion["ms"] < 70
    assert report["promotion_ms"]["kill"]["p50"] == report["promotion_ms_p50"] == promotion["ms"]


async def test_a_cluster_that_confirms_too_early_is_found_out(autojump_clock: MockClock) -> None:
    broker = FakeBroker(lose=lambda number: number % 400 == 0)
    report, _, _ = await drilled(Orders(rounds=2), FakeCluster(Random(1), broker))
    assert report["lost"] > 0
    assert report["lost_samples"][0]["node"] in NAMES
    assert drill.exit_code(report) == 1
    assert any(line.startswith("LOST: drill.") for line in drill.summary(report))


async def test_a_cluster_where_nobody_takes_over_fails(autojump_clock: MockClock) -> None:
    orders = Orders(rounds=3, interval_s=0.05)
    report, cluster, _ = await drilled(orders, FakeCluster(Random(1), FakeBroker(), takeover_s=None))
    assert report["failure"].startswith("no mirror of drill.")
    assert drill.exit_code(report) == 1
    assert "killed" not in cluster.states.values(), "whoever was killed is started again"


async def test_it_removes_what_it_made_and_nothing_else(autojump_clock: MockClock) -> None:
    broker = FakeBroker()
    broker.declared["orders"] = "n1"
    report, cluster, _ = await drilled(Orders(rounds=2), FakeCluster(Random(1), broker))
    assert report["lost"] == 0
    made = [name for name in broker.declared if name != "orders"]
    assert sorted(broker.deleted) == sorted(made)
    assert len(made) >= 3
    policy_set, policy_clear = (asked["request"] for asked in cluster.asked if asked["do"] == "change")
    prefix = made[0].rpartition(".")[0] + "."
    assert prefix.startswith("drill.")
    assert policy_set["pattern"] == "^" + prefix.replace(".", r"\.")
    assert policy_set["definition"]["ha-mode"] == "all"
    assert (policy_clear["do"], policy_clear["name"]) == ("clear_policy", policy_set["name"])


async def test_the_users_command_runs_while_nodes_die_and_its_exit_code_counts(autojump_clock: MockClock) -> None:
    program = "import os, sys; sys.exit(len(os.environ['AMQP_URLS'].split(',')) + 4)"
    report, _, _ = await drilled(Orders(rounds=1, command=[sys.executable, "-c", program]))
    assert report["rounds"] == 1
    assert report["command_exit"] == drill.exit_code(report) == 7


async def test_a_command_that_is_not_there_is_told(autojump_clock: MockClock) -> None:
    report, _, said = await drilled(Orders(rounds=1, command=["no-such-program-here"]))
    assert report["command_exit"] == 127
    assert "drill: no-such-program-here: No such file or directory" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--faults", "kill,flood"], "--faults flood: choose from kill,freeze,partition"),
        (["--rounds", "0"], "0 is not in the range"),
        (["--"], "nothing stands behind --"),
        (["nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_misuse_is_told(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(drill.command, arguments)
    assert result.exit_code == 2
    assert complaint in result.output


def test_help_shows_an_example_and_the_command_at_the_end() -> None:
    result = CliRunner().invoke(drill.command, ["--help"])
    assert result.exit_code == 0
    assert "[-- COMMAND...]" in result.output
    assert "warren drill -- pytest tests/" in result.output


def test_the_summary_for_people() -> None:
    report = {
        **dict.fromkeys(("lost", "duplicated", "redelivered", "reordered", "set_aside"), 0),
        "confirmed": 12345,
        "published": 12400,
        "delivered": 12390,
        "promotions": [{}, {}],
        "rounds": 2,
        "promotion_ms": {"two_kills": {"p50": 51.0, "p99": 60.5}},
        "lost_samples": [],
        "failure": None,
        "seed": 7,
    }
    lines = drill.summary(report)
    assert "confirmed         12,345   of 12,400 published" in lines
    assert "  after two kills: p50 51 ms, p99 60.5 ms" in lines
    assert lines[-1] == "everything confirmed was delivered (seed 7)"
