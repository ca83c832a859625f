"""What stands in a queue, for people to look at: read where its master is, without any effect on it.

Decides how much one look shows and how far a search goes; the next one goes on behind it. It must not know who looks,
nor what they may see.
"""

from typing import TYPE_CHECKING, Any, Final

import trio

from broker.cluster.asked import ask
from broker.cluster.refusal import Refused
from broker.vhosts.guests import Guest
from broker.vhosts.portrait import Pattern, shown
from broker.vhosts.subscription import Fetcher, Subscription
from broker.vhosts.switchboard import PeerLost
from broker.vhosts.walk import Sight, Walk
from broker.wire.properties import property_bytes

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from broker.vhosts.hall import Hall
    from broker.vhosts.handle import Handle
    from broker.vhosts.local import Local
    from broker.vhosts.switchboard import Answer

BROWSE, HOLDERS = "browse", "holders"
STATES: Final = ("all", "ready", "unacked")
SHOWN_MAX = 1000
SHOWN_BYTES_MAX = 1024 * 1024
"""Of all bodies and properties that one look shows, about."""
BODY_BYTES = 4096
"""So much of a body is shown unless somebody asks for more."""
SCANNED_MAX = 20_000
SCANNED_BYTES_MAX = 16 * 1024 * 1024
"""One look passes over no more than that: whoever searches on looks again."""

Fields = dict[str, Any]


def look_of(request: "Mapping[str, Any]") -> Fields:
    """How somebody wants to look, in full. Raises Refused `invalid`, and UnicodeError."""
    state = ask(request, "state", str, "all")
    if state not in STATES:
        raise Refused("invalid", f"state is {state!r}, not one of {', '.join(STATES)}")
    numbers = {"after": 0, "offset": 0, "limit": 10, "body_bytes": BODY_BYTES}
    look: Fields = {name: ask(request, name, int, default) for name, default in numbers.items()}
    if wrong := next((name for name, number in look.items() if number < 0), None):
        raise Refused("invalid", f"{wrong} is {look[wrong]}: less than nothing")
    limits = {"limit": min(look["limit"], SHOWN_MAX), "body_bytes": min(look["body_bytes"], SHOWN_BYTES_MAX)}
    search = ask(request, "search", str, None)
    if search is not None:
        Pattern(search)  # what cannot be looked for is refused here, not where the master is
    return {**look, **limits, "state": state, "search": search}


async def browsed(local: "Local", fields: Fields) -> Fields | None:
    """The look itself, where the master is. None if that ends before it is certain that nobody else is master."""
    await local.switchboard.leased()
    state, search = fields["state"], fields["search"]
    which = {"ready": state != "unacked", "unacked": state != "ready"}
    walk = Walk(local, fields["after"], **which)
    walk.skip(fields["offset"])
    pattern = None if search is None else Pattern(search)
    messages: list[Fields] = []
    left_bytes, scanned, scanned_bytes = SHOWN_BYTES_MAX, 0, 0
    at = walk.position
    while not walk.ended and scanned < SCANNED_MAX and scanned_bytes < SCANNED_BYTES_MAX:
        for run, holder in await walk.step():
            scanned_bytes += run.size_bytes
            for index in range(run.count):
                if len(messages) >= fields["limit"] or left_bytes <= 0:
                    return _told(local, which, messages, scanned, at)
                scanned, at = scanned + 1, run.first + index
                if pattern is None or pattern.is_in(run, index):
                    messages.append(_portrait(local, Sight(run, holder), index, fields["body_bytes"]))
                    left_bytes -= len(messages[-1]["body"]) + len(property_bytes(run.contents[index]))
        await trio.lowlevel.checkpoint()
        at = max(at, walk.position)
    return None if local.ended else _told(local, which, messages, scanned, None if walk.ended else at)


def _told(local: "Local", which: dict[str, bool], messages: list[Fields], scanned: int, at: int | None) -> Fields:
    """`next`: behind which position the next look goes on; None if there is nothing."""
    queue = local.queue
    if at is not None and next(queue.seen_behind(at, **which), None) is None:
        at = None
    counts = {"messages_ready": queue.messages_ready, "messages_unacknowledged": queue.messages_unacked}
    return {"messages": messages, "scanned": scanned, "next": at, **counts}


def _portrait(local: "Local", sight: Sight, index: int, body_bytes_max: int) -> Fields:
    run, holder = sight
    return {
        "position": run.first + index,
        "state": "ready" if holder is None else "unacked",
        "holder": None if holder is None else _named(local, holder),
        "stamp_ms": run.stamp_ms,
        **shown(run, index, body_bytes_max),
    }


def _named(local: "Local", holder: "Hashable") -> Fields:
    """Who holds a message, as the master knows it: a node, a number there, a consumer's tag (None: it was fetched)."""
    if isinstance(holder, Guest):
        return {"node": holder.peer, "number": holder.number, "consumer_tag": holder.tag}
    if isinstance(holder, Subscription):
        return {"node": local.switchboard.node, "number": holder.number, "consumer_tag": holder.tag}
    if isinstance(holder, Fetcher):
        return {"node": local.switchboard.node, "number": holder.number, "consumer_tag": None}
    if isinstance(holder, tuple):
        node, number = holder
        return {"node": node, "number": number, "consumer_tag": None}
    return {"node": local.switchboard.node, "number": 0, "consumer_tag": None}


class Browsing:
    """Looks at queues from this node, wherever their masters are."""

    def __init__(self, hall: "Hall") -> None:
        self._hall = hall
        hall.guests.answer(BROWSE, browsed)
        hall.switchboard.answer(HOLDERS, self._serve_holders)

    async def look(self, handle: "Handle", look: Fields) -> Fields:
        """One look (see `look_of`); raises 404 if the queue has no master. Each message's holder has the names of its
        `channel`, `connection` and `user`, if its node tells them."""
        answer = await handle.ask(BROWSE, browsed, **look)
        held = [message["holder"] for message in answer["messages"] if message["holder"] is not None]
        for node in dict.fromkeys(holder["node"] for holder in held):
            mine = [holder for holder in held if holder["node"] == node]
            names = await self._names(node, handle.record.id, sorted({holder["number"] for holder in mine}))
            for holder in mine:
                holder |= names.get(str(holder.pop("number")), {"channel": None, "connection": None, "user": None})
        return answer

    async def _names(self, node: str, queue_id: int, numbers: list[int]) -> dict[str, Fields]:
        if node == self._hall.life.node:
            return self._names_here(queue_id, numbers)
        try:
            answer, _ = await self._hall.switchboard.call(node, {"do": HOLDERS, "id": queue_id, "numbers": numbers})
        except PeerLost:
            return {}
        named: dict[str, Fields] = answer["holders"]
        return named

    async def _serve_holders(self, peer: str, fields: Fields) -> "Answer":
        return {"holders": self._names_here(fields["id"], fields["numbers"])}, b""

    def _names_here(self, queue_id: int, numbers: list[int]) -> dict[str, Fields]:
        handle = self._hall.catalogue.handles.get(queue_id)
        channels = {} if handle is None else {n: holder.channel for n, holder in handle.holders.numbered(numbers)}
        names = self._hall.roster.names_of(frozenset(channels.values()))
        return {str(number): names[channel] for number, channel in channels.items() if channel in names}
