"""Messages of a recovery file go back to where they belong.

Decides by which road: through the exchange and with the key that they were published with, or into a queue that is
named; and that a message counts as back only once everybody who has to has it safe. It must not know files.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from broker.node import recovery_line
from broker.node.recovery_line import NotALine
from broker.vhosts.dead_letters import Burial
from broker.wire.message import split_address
from broker.wire.properties import headers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.vhosts.hall import Hall
    from broker.vhosts.handle import Handle

UNDER_WAY_MAX = 200
CONFIRM_TIMEOUT_S = 15.0
"""A message that is not safe by then is not counted, though it may still arrive."""

UNROUTABLE = "no queue takes them"
REFUSED = "a queue is full or has no master"
UNCONFIRMED = "not confirmed in time"
UNREADABLE = "they cannot be read"


async def replay(hall: "Hall", messages: "Sequence[dict[str, Any]]", queue: str | None) -> dict[int, str]:
    """Publish them in order; by index those that are not back, and why. `queue`: into that one."""
    failed: dict[int, str] = {}
    for start in range(0, len(messages), UNDER_WAY_MAX):
        await _replay_some(hall, messages[start : start + UNDER_WAY_MAX], queue, start, failed)
    return failed


async def _replay_some(
    hall: "Hall", messages: "Sequence[dict[str, Any]]", queue: str | None, start: int, failed: dict[int, str]
) -> None:
    waiting: dict[int, Burial] = {}
    changed = trio.Event()

    def answered(index: int) -> None:
        if waiting.pop(index).refused:
            failed[index] = REFUSED
        if not waiting:
            changed.set()

    for index, message in enumerate(messages, start):
        try:
            run = recovery_line.run_of(message)
            targets = _targets(hall, message, run.contents[0], queue)
        except NotALine:
            failed[index] = UNREADABLE
            continue
        if not targets:
            failed[index] = UNROUTABLE
            continue
        waiting[index] = burial = Burial(len(targets) + 1, partial(answered, index))
        for target in targets:
            target.publish(recovery_line.run_of(message), burial)
        burial.answer()
    with trio.move_on_after(CONFIRM_TIMEOUT_S):
        while waiting:
            await changed.wait()
    failed.update(dict.fromkeys(waiting, UNCONFIRMED))


def _targets(hall: "Hall", message: dict[str, Any], content: bytes, queue: str | None) -> "list[Handle]":
    vhost = hall.catalogue.vhosts.get(message["vhost"])
    if vhost is None:
        return []
    if queue is not None:
        handle = vhost.handles.get(queue)
        return [] if handle is None else [handle]
    exchange, key = split_address(recovery_line.run_of(message).address)
    return vhost.find(exchange, key, headers_of(content), content)
