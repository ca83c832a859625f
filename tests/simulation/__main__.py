"""`python -m tests.simulation --seeds 1000` runs many seeds, `--seed 7 --timeline` shows one.

A seed that fails is told with what the judge said, made smaller, and shown as a time line; the options that are printed
with it run the smaller one again. At the end stand totals: a row of seeds in which nothing was promoted, or nobody
elected, cut off, restarted or confirmed, has shown nothing, and fails too.
"""

import argparse
import gc
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from tests.simulation.course import Plan, run_seed, steps_of
from tests.simulation.judges import Broken
from tests.simulation.shrinking import shrink
from tests.simulation.time_line import time_line
from tests.simulation.variety import plan_of

TOTALS = ("confirmed", "promotions", "elections", "partitions", "restarts")
STUCK_S = 200
"""Seconds of work after which a seed is called stuck."""
TOLD_EVERY = 100
"""Seeds."""


@dataclass
class Report:
    """What a worker says of one seed; `said` is empty if all is well."""

    seed: int
    said: str = ""
    trace: Sequence[str] = ()
    totals: Counter[str] = field(default_factory=Counter)


def report_of(plan: Plan | None, seed: int) -> Report:
    """Run a seed, by its own plan unless there is another one."""
    signal.setitimer(signal.ITIMER_VIRTUAL, STUCK_S)
    try:
        outcome = run_seed(seed, plan or plan_of(seed))
    except Broken as broken:
        return Report(seed, str(broken), broken.trace)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return Report(seed, trace=outcome.world.trace, totals=outcome.totals())


def _begin_worker() -> None:
    """Nodes speak to standard output; nobody wants to hear thousands of them."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # what is there by now stays: no need to look at it again and again, nor so often
    gc.set_threshold(20_000, 20, 50)

    def stuck(number: int, frame: object) -> None:
        raise RuntimeError(f"stuck: nothing came of it in {STUCK_S} s")

    signal.signal(signal.SIGVTALRM, stuck)


class Runner:
    """Runs seeds and tells of them."""

    def __init__(self, workers: ProcessPoolExecutor, *, shrinks: bool) -> None:
        self._workers = workers
        self._shrinks = shrinks
        self.totals: Counter[str] = Counter()
        self.failed: list[int] = []

    def run_many(self, seeds: range) -> None:
        """All of them; who fails is told at once."""
        began = time.monotonic()
        for done, report in enumerate(self._reports(seeds), 1):
            self.totals += report.totals
            if report.said:
                self._tell(report, plan_of(report.seed))
            if done % TOLD_EVERY == 0 or done == len(seeds):
                spent_s = time.monotonic() - began
                print(f"{done} seeds in {spent_s:.0f} s, {len(self.failed)} failed", flush=True)

    def run_one(self, seed: int, plan: Plan, *, shows_all: bool) -> None:
        """One of them, by this plan."""
        report = self._workers.submit(report_of, plan, seed).result()
        self.totals += report.totals
        if report.said:
            self._tell(report, plan)
        elif shows_all:
            print(*time_line(report.trace), sep="\n")

    def _reports(self, seeds: range) -> Iterator[Report]:
        return iter(self._workers.map(partial(report_of, None), seeds))

    def _tell(self, report: Report, plan: Plan) -> None:
        self.failed.append(report.seed)
        print(report.said, flush=True)
        if self._shrinks:
            plan = shrink(report.seed, plan, report.said, lambda smaller: self._say(report.seed, smaller))
            report = self._workers.submit(report_of, plan, report.seed).result()
            print(f"smaller: python -m tests.simulation {options_of(report.seed, plan)}\n{report.said}")
        print(*time_line(report.trace, report.said), sep="\n", flush=True)

    def _say(self, seed: int, plan: Plan) -> str:
        return self._workers.submit(report_of, plan, seed).result().said

    def judge_totals(self) -> list[str]:
        """What did not happen at all."""
        return [name for name in TOTALS if not self.totals[name]]


def options_of(seed: int, plan: Plan) -> str:
    """What has to be said to run this again."""
    words = [f"--seed {seed}", f"--keep {','.join(map(str, plan.kept or []))}", f"--kinds {','.join(plan.kinds)}"]
    words += [f"--publishers {plan.publishers}", f"--consumers {plan.consumers}"]
    words += [f"--visitors {plan.visitors}", f"--scarcities {','.join(plan.scarcities)}"]
    if not plan.confirmed_min:
        words.append("--brief")
    return " ".join(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    asked = _parser().parse_args(arguments)
    with ProcessPoolExecutor(asked.processes, initializer=_begin_worker) as workers:
        runner = Runner(workers, shrinks=not asked.as_it_is)
        if asked.seed is None:
            runner.run_many(range(asked.first, asked.first + asked.seeds))
        else:
            plan = _plan(asked)
            faults = [f"{step.number} {step.fault}" for step in steps_of(asked.seed, plan)]
            print(f"seed {asked.seed}: {', '.join(faults)}", flush=True)
            runner.run_one(asked.seed, plan, shows_all=asked.timeline)
    print(", ".join(f"{runner.totals[name]} {name}" for name in TOTALS))
    if runner.failed:
        print(f"failed: {' '.join(map(str, runner.failed))}")
        return 1
    nothing = runner.judge_totals() if asked.seed is None else []
    if nothing:
        print(f"these seeds show nothing: no {', no '.join(nothing)}")
        return 1
    return 0


def _plan(asked: argparse.Namespace) -> Plan:
    plan = plan_of(asked.seed)
    if asked.keep is not None:
        plan = replace(plan, kept=[int(number) for number in asked.keep.split(",") if number])
    if asked.kinds is not None:
        plan = replace(plan, kinds=asked.kinds.split(","))
    if asked.scarcities is not None:
        plan = replace(plan, scarcities=[name for name in asked.scarcities.split(",") if name])
    if asked.brief:
        plan = replace(plan, confirmed_min=0, seconds_min=0.0)
    if asked.visitors is not None:
        plan = replace(plan, visitors=asked.visitors)
    return replace(plan, publishers=asked.publishers or plan.publishers, consumers=asked.consumers or plan.consumers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.simulation", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=200, help="how many to run")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--timeline", action="store_true", help="show what happened in it, also if all is well")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at the same time")
    parser.add_argument("--as-it-is", action="store_true", help="do not make smaller what fails")
    parser.add_argument("--keep", help="with --seed: numbers of the faults that come")
    parser.add_argument("--kinds", help="with --seed: what is published to")
    parser.add_argument("--scarcities", help="with --seed: what there is little of")
    parser.add_argument("--publishers", type=int, help="with --seed: on each road")
    parser.add_argument("--consumers", type=int, help="with --seed: on each queue")
    parser.add_argument("--visitors", type=int, help="with --seed: clients that make queues of their own")
    parser.add_argument("--brief", action="store_true", help="with --seed: end after the last fault")
    return parser


if __name__ == "__main__":
    sys.exit(main())
