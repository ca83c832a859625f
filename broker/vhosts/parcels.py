"""Messages that somebody has kept are published again, with confirms: those of recovery files, and dead letters.

Decides that a message counts as delivered only once every queue it goes to has it safe, and says of each other one why
it is not. It must not know where messages come from, nor what becomes of those that stay.
"""

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from broker.vhosts.dead_letters import Burial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.vhosts.handle import Handle
    from broker.wire.message import Run

UNDER_WAY_MAX = 200
CONFIRM_TIMEOUT_S = 15.0
"""A message that is not safe by then is not counted, though it may still arrive."""

UNROUTABLE: Final = "no queue takes them"
REFUSED: Final = "a queue is full or has no master"
UNCONFIRMED: Final = "not confirmed in time"


class Parcel(NamedTuple):
    """A message, and the queues that it goes to."""

    run: "Run"
    targets: "Sequence[Handle]"


async def deliver(parcels: "Sequence[Parcel]") -> dict[int, str]:
    """Publish them in order; by index those that are not safe with everybody, and why."""
    failed: dict[int, str] = {}
    waiting: dict[int, Burial] = {}
    changed = trio.Event()

    def answered(index: int) -> None:
        if waiting.pop(index).refused:
            failed[index] = REFUSED
        if not waiting:
            changed.set()

    for index, (run, targets) in enumerate(parcels):
        if not targets:
            failed[index] = UNROUTABLE
            continue
        waiting[index] = burial = Burial(len(targets) + 1, partial(answered, index))
        for target in targets:
            target.publish(run.afresh(), burial)
        burial.answer()
    with trio.move_on_after(CONFIRM_TIMEOUT_S):
        while waiting:
            await changed.wait()
    return failed | dict.fromkeys(waiting, UNCONFIRMED)
