"""What a seed's number decides besides the dice: which roads there are, how many clients, and what there is little of.

Decides the mix of a long row of seeds. It must not know what happens in a run.
"""

from dataclasses import replace

from tests.simulation.course import Plan

MIXES = (
    ("plain", "plain"),
    ("quorum", "full"),
    ("delayed", "calls"),
    ("letters", "plain"),
    ("quorum", "delayed"),
    ("letters", "full"),
    ("transactions", "single"),
    ("priorities", "told"),
    ("capped", "fetched"),
)
"""What each seed in turn publishes to."""
BUSY = Plan(publishers=2, consumers=2, steps=6, disk_delay_s_max=0.03)
"""Slow disks, and more of everything."""
MANNERS = (
    Plan(visitors=1),
    BUSY,
    Plan(),
    replace(BUSY, scarcities=["memory"]),
    Plan(visitors=2),
    replace(BUSY, scarcities=["catch-up"]),
    Plan(),
    replace(BUSY, scarcities=["memory", "catch-up"]),
)
"""How each seed in turn is run, once all mixes had a turn."""


def mixed(seed: int, plan: Plan) -> Plan:
    """The plan, with the roads of this seed."""
    return replace(plan, kinds=MIXES[seed % len(MIXES)])


def plan_of(seed: int) -> Plan:
    """What the runner does with a seed."""
    return mixed(seed, MANNERS[seed // len(MIXES) % len(MANNERS)])
