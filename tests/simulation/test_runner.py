"""The runner: rows of seeds, totals that must not be zero, and what fails made smaller and told as a time line."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from tests.simulation import __main__ as runner
from tests.simulation.course import Plan, brief, steps_of
from tests.simulation.shrinking import kind_of, shrink
from tests.simulation.time_line import time_line
from tests.simulation.variety import MANNERS, MIXES, plan_of

SAID = "seed 7: lost: 1 confirmed messages, [b'red/p0/1:2']"


def test_a_seed_has_a_fault_of_every_kind_and_its_number_decides_them() -> None:
    plan = plan_of(7)
    assert plan.steps >= 5
    assert plan.seconds_min >= 20
    assert plan.confirmed_min >= 300
    faults = [step.fault for step in steps_of(7, plan)]
    assert all(any(fault in kind for fault in faults) for kind in plan.one_of_each)
    assert steps_of(7, plan) == steps_of(7, plan) != steps_of(8, plan)
    assert steps_of(7, replace(plan, kept=[1, 3])) == [steps_of(7, plan)[1], steps_of(7, plan)[3]]


def test_every_mix_is_run_in_every_manner() -> None:
    plans = [plan_of(seed) for seed in range(len(MIXES) * len(MANNERS))]
    assert {plan.kinds for plan in plans} == set(MIXES)
    assert {plan.scarcities for plan in map(hashable, plans)} >= {("memory",), ("catch-up",), ()}


def hashable(plan: Plan) -> Plan:
    return replace(plan, scarcities=tuple(plan.scarcities))


def test_what_is_not_needed_for_a_failure_is_left_out() -> None:
    def say(plan: Plan) -> str:
        needed = {2, 4} <= set(plan.kept or ()) and plan.kinds[1]
        return SAID.replace("1 confirmed", f"{len(plan.kept or ())} confirmed") if needed else "seed 7: order: other"

    plan = shrink(7, replace(plan_of(7), publishers=2, visitors=2, scarcities=["memory"]), SAID, say)
    assert plan.kept == [2, 4]
    assert [bool(kind) for kind in plan.kinds] == [False, True]
    assert (plan.publishers, plan.consumers, plan.visitors) == (1, 1, 0)
    assert (plan.scarcities, plan.confirmed_min) == ([], 0)
    assert kind_of(SAID) == " lost"
    words = runner.options_of(7, plan).split(" ")
    again = runner._plan(runner._parser().parse_args(words))
    assert replace(again, kinds=[*again.kinds]) == replace(plan, kinds=[*plan.kinds])


def test_a_time_line_counts_messages_but_for_those_that_are_asked_about() -> None:
    trace = [
        "   1.0000 kill n1",
        "   1.1000 confirmed red/p0/1:1",
        "   1.2000 red/c0/1 gets red/p0/1:1 again",
        "   1.2500 red/c0 loses 1: ",
        "   1.3000 confirmed red/p0/1:2",
        "   1.4000 start n1",
    ]
    lines = list(time_line(trace, SAID))
    assert lines == [trace[0], " " * 9 + " ... 1 confirmed, 1 connections lost, 1 delivered again", *trace[4:]]


def test_who_brings_nothing_about_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProcessPoolExecutor(1) as workers:
        row = runner.Runner(workers, shrinks=False)
        row.totals = Counter(confirmed=3, promotions=1, elections=1, restarts=2)
        assert row.judge_totals() == ["partitions"]


@pytest.mark.slow
def test_a_row_of_seeds_tells_its_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--seeds", "4", "--from", "60", "--processes", "2"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert all(name in last for name in runner.TOTALS)


@pytest.mark.slow
def test_one_seed_is_told_as_a_time_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--seed", "61", "--timeline", "--keep", "0", "--brief", "--processes", "1"]) == 0
    assert " fault: " in capsys.readouterr().out


def test_a_brief_plan_has_only_what_it_is_told() -> None:
    assert {step.fault for step in steps_of(3, brief(["kill"], steps=2))} == {"kill"}
