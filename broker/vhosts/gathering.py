"""Short runs of one channel, gathered by queue until the end of the turn, and as long as the disk is busy: a publisher
that takes many queues in turn sends nothing else, and a run costs a queue and its journal the same however short it is.

Decides what may be gathered: only what changes the order in no queue, keeps no consumer waiting and lets no confirm
wait for another queue's mirrors. It must not know routes, rights or sockets.
"""

from typing import TYPE_CHECKING

from broker.amqp.confirms import Order, Share
from broker.wire.message import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.amqp.channel import Channel
    from broker.vhosts.handle import Handle
    from broker.wire.events import Medley
    from broker.wire.message import Traits

SHORT_RUN_MESSAGES = 8
"""Longer runs go their own way."""
HELD_BYTES_MAX = 1024 * 1024
QUEUES_MANY = 64
"""To publish to so many takes longer than a pause."""
RUN_MESSAGES_MIN = 4
"""If each gets so many, nothing more is waited for."""
QUEUES_MAX = 256
"""No more is gathered, however busy the disk is: all of it is published in one step, some 50 us for each queue."""


class _Group:
    """What one queue gets of it, by publishes with one method."""

    __slots__ = ("contents", "handle", "traits")

    def __init__(self, handle: "Handle", traits: "Traits", contents: list[bytes]) -> None:
        self.handle = handle
        self.traits = traits
        self.contents = contents

    def takes(self, handle: "Handle", traits: "Traits") -> bool:
        """Whether more may be added to it: a run has one set of traits, and another queue may have the name by now."""
        return self.handle is handle and (self.traits is traits or self.traits == traits)


class Gathering:
    """What one vhost gathers in one turn, from one channel at a time."""

    def __init__(
        self,
        touch: "Callable[[Gathering], None]",
        wait: "Callable[[Gathering], bool]",
        pause: "Callable[[Gathering], bool]",
    ) -> None:
        """`touch` lets `flush` be called at the end of the turn, `wait` lets `advance` be called when the disk has done
        what it is doing; False if that is nothing. `pause` lets it be called after a moment, if that is possible."""
        self.channel: Channel | None = None
        """Whose messages are held; None if there are none."""
        self._touch = touch
        self._wait = wait
        self._pause = pause
        self._waiting = False
        self._paused = False
        self._size_bytes = 0
        self._since = 0.0
        self._groups: dict[bytes, _Group] = {}  # by method
        self._handles: set[Handle] = set()
        self._order = Order()

    def add(
        self, channel: "Channel", handle: "Handle", payload: bytes, traits: "Traits", contents: list[bytes]
    ) -> bool:
        """Hold a short run for a queue; False if it may not be, or what is held has to go before it. `payload` is that
        of its method."""
        if not self._has_room_for(channel):
            return False
        group = self._groups.get(payload)
        if group is None:
            if len(self._groups) >= QUEUES_MAX or not self._may_have(handle):
                return False
            self._groups[payload] = _Group(handle, traits, [*contents])
            self._handles.add(handle)
        elif group.takes(handle, traits):
            group.contents += contents
        else:
            return False
        self._held(channel, [payload] * len(contents), sum(map(len, contents)))
        return True

    def add_medley(self, channel: "Channel", medley: "Medley", handles: "list[Handle]") -> bool:
        """As `add`, of all of it or nothing; the handles are those of its methods."""
        groups, traits = self._groups, medley.traits
        if not self._has_room_for(channel) or len(set(handles)) < len(handles):
            return False
        if len(self._handles.union(handles)) > QUEUES_MAX:
            return False
        for payload, handle in zip(medley.contents, handles, strict=True):
            group = groups.get(payload)
            if not (self._may_have(handle) if group is None else group.takes(handle, traits)):
                return False
        for (payload, contents), handle in zip(medley.contents.items(), handles, strict=True):
            group = groups.get(payload)
            if group is None:
                groups[payload] = _Group(handle, traits, contents)
            else:
                group.contents += contents
        self._handles.update(handles)
        self._held(channel, medley.order, medley.size_bytes)
        return True

    def _has_room_for(self, channel: "Channel") -> bool:
        if channel is not self.channel and (self.channel is not None or channel.transaction is not None):
            return False
        return self._size_bytes <= HELD_BYTES_MAX

    def _may_have(self, handle: "Handle") -> bool:
        """Whether this queue may get a group. A group has one method and a run one address: messages that came by
        another to the same queue would be overtaken."""
        local = handle.local
        return local is not None and local.may_wait and handle not in self._handles

    def _held(self, channel: "Channel", ways: list[bytes], size_bytes: int) -> None:
        self._order.ways += ways
        self._size_bytes += size_bytes
        if self.channel is None:
            self.channel = channel
            self._since = channel.outlet.heard_at
            self._touch(self)

    def flush(self) -> None:
        """The end of a turn. While the disk is busy nothing of this could be confirmed before its next sync, so until
        then more may come to it."""
        if self._waiting:
            return
        if self.channel is not None:
            self._waiting = self._wait(self)
            if not self._waiting:
                self.advance()

    def advance(self) -> None:
        """The disk has done what it was doing, or a pause is over. Short runs to many queues are worth a moment, once:
        publishers that had to wait for confirms will send more now."""
        self._waiting = False
        queues = len(self._groups)
        if queues >= QUEUES_MANY and not self._paused and len(self._order.ways) < RUN_MESSAGES_MIN * queues:
            self._waiting = self._paused = self._pause(self)
        if not self._waiting:
            self.publish()

    def publish(self) -> None:
        """Publish what is held; all of it is confirmed together."""
        channel, groups, order = self.channel, self._groups, self._order
        if channel is None:
            return
        self.channel, self._groups, self._handles, self._order, self._size_bytes = None, {}, set(), Order(), 0
        self._paused = False
        count = len(order.ways)
        channel.flow.received += count
        channel.flow.routed += count  # each to its queue
        whole = channel.open_pending(count, self._since)
        if whole is not None:
            whole.missing = len(groups)
        for payload, group in groups.items():
            pending = whole if whole is None or len(groups) == 1 else Share(whole, order, payload)
            if not group.handle.deleted:
                group.handle.publish(Run(group.contents, payload[2:-1], group.traits), pending)
            elif pending is not None:
                pending.answer()  # as RabbitMQ does
