"""From a run that fails to a smaller one that fails the same way.

Decides what is left out, and in which order: faults one by one, roads, clients, scarcities. It must not know how a run
is judged: it is told what is said of a plan.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulation.course import Plan, steps_of

RUNS_MAX = 40
Saying = Callable[[Plan], str]
"""What the judges say of a plan, empty if nothing."""


def shrink(seed: int, plan: Plan, said: str, say: Saying) -> Plan:
    """The smallest plan that was found in so many runs."""
    plan = replace(plan, kept=[step.number for step in steps_of(seed, plan)])
    runs = 0
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in _smaller(plan):
            if runs == RUNS_MAX:
                return plan
            runs += 1
            if kind_of(say(smaller)) == kind_of(said):
                plan, shrunk = smaller, True
                break
    return plan


def kind_of(verdict: str) -> str:
    """Which judge spoke, without the seed and what it saw."""
    return ":".join(verdict.split(":")[1:2]) if verdict.startswith("seed ") else verdict.split(":")[0]


def _smaller(plan: Plan) -> Iterator[Plan]:
    kept = plan.kept or []
    for number in kept:
        yield replace(plan, kept=[each for each in kept if each != number])
    used = [kind for kind in plan.kinds if kind]
    for place, kind in enumerate(plan.kinds):
        if kind and len(used) > 1:
            yield replace(plan, kinds=[*plan.kinds[:place], "", *plan.kinds[place + 1 :]])
    if plan.publishers > 1:
        yield replace(plan, publishers=1)
    if plan.consumers > 1:
        yield replace(plan, consumers=1)
    if plan.visitors:
        yield replace(plan, visitors=0)
    for scarcity in plan.scarcities:
        yield replace(plan, scarcities=[each for each in plan.scarcities if each != scarcity])
    if plan.confirmed_min or plan.seconds_min:
        yield replace(plan, confirmed_min=0, seconds_min=0.0)
