"""Whether judges see that a rule is broken: some seed of a plan has to show it."""

import re
from dataclasses import dataclass

from tests.simulation.course import Plan, run_seed
from tests.simulation.judges import Broken

SEEDS = 200
"""A breach that so many seeds do not show is not caught."""


@dataclass(frozen=True)
class Evidence:
    """What a judge says (a pattern), under which plan, and a seed that showed it when this was written."""

    verdict: str
    plan: Plan
    first_seed: int = 0


def is_seen(evidence: Evidence) -> bool:
    """Seeds follow the first one, as the broker changes."""
    seeds = [(evidence.first_seed + number) % SEEDS for number in range(SEEDS)]
    return any(re.search(evidence.verdict, said_of(seed, evidence.plan)) for seed in seeds)


def said_of(seed: int, plan: Plan) -> str:
    """What a judge said, if anything: one broken promise often breaks others, too."""
    try:
        run_seed(seed, plan)
    except Broken as broken:
        return str(broken)
    return ""
