"""Messages of a recovery file go back to where they belong.

Decides by which road: through the exchange and with the key that they were published with, or into a queue that is
named. It must not know files, nor how messages are published again.
"""

from typing import TYPE_CHECKING, Any, Final

from broker.amqp.errors import ChannelException
from broker.node import recovery_line
from broker.node.recovery_line import NotALine
from broker.vhosts.parcels import UNDER_WAY_MAX, Parcel, deliver
from broker.wire.malformed import Malformed
from broker.wire.message import split_address
from broker.wire.properties import headers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.vhosts.hall import Hall
    from broker.vhosts.handle import Handle
    from broker.wire.message import Run

UNREADABLE: Final = "they cannot be read"


async def replay(hall: "Hall", messages: "Sequence[dict[str, Any]]", queue: str | None) -> dict[int, str]:
    """Publish them in order; by index those that are not back, and why. `queue`: into that one."""
    failed: dict[int, str] = {}
    for start in range(0, len(messages), UNDER_WAY_MAX):
        parcels: dict[int, Parcel] = {}
        for index, message in enumerate(messages[start : start + UNDER_WAY_MAX], start):
            try:
                run = recovery_line.run_of(message)
                parcels[index] = Parcel(run, _targets(hall, message["vhost"], run, queue))
            except (NotALine, Malformed, ChannelException):
                failed[index] = UNREADABLE
        whys = await deliver(list(parcels.values()))
        failed |= {index: whys[number] for number, index in enumerate(parcels) if number in whys}
    return failed


def _targets(hall: "Hall", vhost_name: str, run: "Run", queue: str | None) -> "list[Handle]":
    vhost = hall.catalogue.vhosts.get(vhost_name)
    if vhost is None:
        return []
    if queue is not None:
        handle = vhost.handles.get(queue)
        return [] if handle is None else [handle]
    exchange, key = split_address(run.address)
    return vhost.find(exchange, key, headers_of(run.contents[0]), run.contents[0])
