"""Messages by hand: what `warren publish` and `warren get` do, without an AMQP client.

Decides how a body given on a command line becomes a message. It must not know the road on which commands arrive.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from broker.vhosts.asking import Moved
from broker.vhosts.dead_letters import Burial
from broker.vhosts.portrait import shown
from broker.wire import queue_frames as frames
from broker.wire.content import assemble
from broker.wire.message import Run, make_address
from broker.wire.properties import Properties, traits_of_properties

if TYPE_CHECKING:
    from broker.vhosts.handle import Handle
    from broker.vhosts.vhost import Vhost

T = TypeVar("T")

FRAME_MAX = 131072
GET_MESSAGES_MAX = 1000
GET_BYTES_MAX = 64 * 1024 * 1024
"""Of what is taken at a time: all of it is in memory at once, and as text once more. One message may be larger."""


class Tally(Burial):
    """Counts what queues refuse."""

    __slots__ = ("refusals",)

    def __init__(self, missing: int, done: trio.Event) -> None:
        super().__init__(missing, done.set)
        self.refusals = 0

    def refuse(self, start: int, stop: int) -> None:
        """A queue did not take these."""
        self.refusals += stop - start


async def publish(vhost: "Vhost", exchange: str, key: str, bodies: list[bytes], *, persistent: bool) -> dict[str, int]:
    """Publish bodies and wait until every queue they go to has them safe."""
    handles = vhost.find(exchange, key, {})
    if not handles:
        return {"published": 0, "unroutable": len(bodies), "refused": 0}
    encoded = Properties(delivery_mode=2 if persistent else 1).encode()
    contents = [assemble(1, encoded, body, FRAME_MAX) for body in bodies]
    done = trio.Event()
    tally = Tally(len(handles), done)
    for handle in handles:
        handle.publish(Run(contents, make_address(exchange, key), traits_of_properties(encoded)), tally)
    await done.wait()
    return {"published": len(bodies) - tally.refusals, "unroutable": 0, "refused": tally.refusals}


async def get(handle: "Handle", count: int, *, keep: bool) -> tuple[list[dict[str, Any]], int]:
    """Take up to `count` messages; with `keep` they go back to their places. Also how many are ready behind them."""
    end = frames.REQUEUE if keep else frames.ACKNOWLEDGE
    got = await take(handle, count, end, lambda run, remaining: (shown(run, 0), remaining))
    return [message for message, _ in got], got[-1][1] if got else 0


async def take(handle: "Handle", count: int, end: int, look: Callable[[Run, int], T]) -> list[T]:
    """Take up to `count` messages and then `end` them all: acknowledge, requeue or reject.

    `look` is shown each before that, and how many were ready behind it; what it makes of them is returned. What a
    master gave that ends meanwhile has returned, and its successor is asked for all of it.
    """
    while True:
        with suppress(Moved):
            return await _take(handle, count, end, look)


async def _take(handle: "Handle", count: int, end: int, look: Callable[[Run, int], T]) -> list[T]:
    holder = handle.fetcher()
    runs: list[Run] = []
    seen: list[T] = []
    size_bytes = 0
    try:
        while len(runs) < min(count, GET_MESSAGES_MAX) and size_bytes < GET_BYTES_MAX:
            got = await handle.get(holder, holder.number)
            if got is None:
                break
            runs.append(got.run)
            size_bytes += len(got.run.contents[0])
            seen.append(look(got.run, got.messages_ready))
        for run in runs:
            handle.settle(holder, end, run.first, run.last)
    finally:
        handle.release(holder)
    return seen
