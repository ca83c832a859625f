"""Short runs of one channel, gathered by queue until the end of the turn, and as long as the disk is busy: a publisher
that takes many queues in turn sends nothing else, and a run costs a queue and its journal the same however short it is.

Decides what may be gathered: only what changes the order in no queue, keeps no consumer waiting and lets no confirm
wait for another queue's mirrors. It must not know routes, rights or sockets.
"""

from typing import TYPE_CHECKING

from broker.amqp.confirms import Share
from broker.wire.message import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.amqp.channel import Channel
    from broker.vhosts.handle import Handle
    from broker.wire.message import Traits

SHORT_RUN_MESSAGES = 8
"""Longer runs go their own way."""
HELD_BYTES_MAX = 1024 * 1024
QUEUES_MAX = 256
"""No more is gathered, however busy the disk is: all of it is published in one step, some 50 us for each queue."""


class _Group:
    """What one queue gets of it; `indexes` says where each message stood in what was gathered."""

    __slots__ = ("address", "contents", "handle", "indexes", "traits")

    def __init__(self, handle: "Handle", address: bytes, traits: "Traits") -> None:
        self.handle = handle
        self.address = address
        self.traits = traits
        self.contents: list[bytes] = []
        self.indexes: list[int] = []


class Gathering:
    """What one vhost gathers in one turn, from one channel at a time."""

    def __init__(self, touch: "Callable[[Gathering], None]", wait: "Callable[[Gathering], bool]") -> None:
        """`touch` lets `flush` be called at the end of the turn, `wait` lets `advance` be called when the disk has done
        what it is doing; False if that is nothing."""
        self.channel: Channel | None = None
        """Whose messages are held; None if there are none."""
        self._touch = touch
        self._wait = wait
        self._waiting = False
        self._size_bytes = 0
        self._groups: dict[bytes, _Group] = {}
        self._handles: set[Handle] = set()
        self._count = 0

    def add(
        self, channel: "Channel", handle: "Handle", address: bytes, traits: "Traits", contents: list[bytes]
    ) -> bool:
        """Hold a short run for a queue; False if it may not be, or what is held has to go before it."""
        if channel is not self.channel and (self.channel is not None or channel.transaction is not None):
            return False
        if self._size_bytes > HELD_BYTES_MAX:
            return False
        group = self._groups.get(address)
        if group is None:
            if len(self._groups) >= QUEUES_MAX:
                return False
            # One run has one address: messages of another to the same queue would be overtaken.
            local = handle.local
            if local is None or not local.may_wait or handle in self._handles:
                return False
            if self.channel is None:
                self.channel = channel
                self._touch(self)
            self._handles.add(handle)
            group = self._groups[address] = _Group(handle, address, traits)
        elif group.handle is not handle or (group.traits is not traits and group.traits != traits):
            return False
        upto = self._count + len(contents)
        group.contents += contents
        group.indexes += range(self._count, upto)
        self._count = upto
        self._size_bytes += sum(map(len, contents))
        return True

    def flush(self) -> None:
        """The end of a turn. While the disk is busy nothing of this could be confirmed before its next sync, so until
        then more may come to it."""
        if self._waiting:
            return
        if self.channel is not None and self._wait(self):
            self._waiting = True
        else:
            self.publish()

    def advance(self) -> None:
        """The disk has done what it was doing."""
        self._waiting = False
        self.publish()

    def publish(self) -> None:
        """Publish what is held; all of it is confirmed together."""
        channel, groups, count = self.channel, self._groups, self._count
        if channel is None:
            return
        self.channel, self._groups, self._handles, self._count, self._size_bytes = None, {}, set(), 0, 0
        whole = channel.open_pending(count)
        if whole is not None:
            whole.missing = len(groups)
        for group in groups.values():
            pending = whole if whole is None or len(groups) == 1 else Share(whole, group.indexes)
            if not group.handle.deleted:
                group.handle.publish(Run(group.contents, group.address, group.traits), pending)
            elif pending is not None:
                pending.answer()  # as RabbitMQ does
