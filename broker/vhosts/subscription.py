"""What a client's channel holds of a queue: a subscription (basic.consume) or a fetcher (basic.get).

Decides how much a consumer may be given now, by its prefetch, its channel's and how full its connection is. It must
not know where the queue's master is: it speaks to the handle.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from broker.meters.traffic import Deliveries
from broker.queues.consumers import Consumer
from broker.vhosts.delivery_count import counted
from broker.vhosts.queue_types import counted_as
from broker.wire.message import Run

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.vhosts.handle import Handle
    from broker.vhosts.settles import History

OUTBOX_BYTES_MAX = 256 * 1024
"""A connection whose client reads slower than this backlog gets nothing more until it drains."""
ROOM_MESSAGES = 2000
ROOM_BYTES = 1024 * 1024
"""A consumer gets at most so much in one turn, by the size of the messages that it got last."""
FIRST_ROOM_MESSAGES = 64
"""As long as nobody knows how large its messages are."""


def _deliveries(handle: "Handle", channel: "Channel | None") -> Deliveries:
    """Where it is counted what the channel gets of this queue; without a channel, nowhere."""
    return Deliveries() if channel is None else channel.flow.deliveries(counted_as(handle.record.arguments))


class Fetcher:
    """Holds what a channel got by basic.get from one queue, until it is answered."""

    ack_required = True

    def __init__(self, handle: "Handle", number: int, channel: "Channel | None" = None) -> None:
        self.handle = handle
        self.channel = channel
        self.deliveries = _deliveries(handle, channel)
        self.number = number
        self.alive = True
        """False once the master that gave these messages is gone: they return by themselves."""
        self.history: History = []
        """That of the master that is gone."""

    def answered(self, count: int) -> None:
        """So many of its messages were settled; fetchers have no window."""


class Subscription(Consumer):
    """One consumer of a client on this node, under one master."""

    def __init__(
        self,
        handle: "Handle",
        channel: "Channel",
        tag: str,
        number: int,
        *,
        ack_required: bool,
        exclusive: bool,
        arguments: dict[str, Any],
        prefetch_count: int,
    ) -> None:
        self.tag = tag
        self.ack_required = ack_required
        self.exclusive = exclusive
        self.priority = arguments.get("x-priority", 0)
        self.arguments = arguments
        self.handle = handle
        self.channel = channel
        self.deliveries = _deliveries(handle, channel)
        self.number = number
        self.prefetch_count = prefetch_count
        self.outstanding = 0
        self.alive = True
        self.history: History = []
        self._size_bytes = 0
        self._tag_bytes = tag.encode()

    @property
    def survives_failover(self) -> bool:
        """Whether it goes on with a new master, rather than being cancelled (argument x-cancel-on-ha-failover)."""
        return self.arguments.get("x-cancel-on-ha-failover") is not True

    def again(self, number: int) -> "Subscription":
        """The same consumer for a new master; what the old one gave it stays behind."""
        return Subscription(
            self.handle,
            self.channel,
            self.tag,
            number,
            ack_required=self.ack_required,
            exclusive=self.exclusive,
            arguments=self.arguments,
            prefetch_count=self.prefetch_count,
        )

    @property
    def is_limited(self) -> bool:
        """Whether its channel has a limit, which it shares with the others, or waits for if it need not answer."""
        return self.channel.prefetch_count_global > 0

    def reserve(self, count: int) -> None:
        """So many messages of its channel's limit are spoken for (negative: no longer)."""
        if self.ack_required:
            self.channel.outstanding += count

    def room(self) -> int:
        """How many messages it may be given now."""
        channel = self.channel
        outlet = channel.outlet
        if outlet.outbox_bytes > OUTBOX_BYTES_MAX:
            outlet.starved.add(self)
            return 0
        room = min(ROOM_MESSAGES, ROOM_BYTES // self._size_bytes + 1) if self._size_bytes else FIRST_ROOM_MESSAGES
        if self.ack_required and self.prefetch_count:
            room = min(room, self.prefetch_count - self.outstanding)
        if channel.prefetch_count_global:
            left = channel.prefetch_count_global - channel.outstanding
            if left <= 0:
                channel.starved[self] = None
                return 0
            if self.ack_required:  # who need not answer waits for the others' answers, too, but leaves their room alone
                room = min(room, left)
        return max(0, room)

    def deliver(self, run: Run) -> None:
        """Put the run into the client's outbox."""
        if run.returned:
            run = counted(run)
        self._size_bytes = len(run.contents[-1])
        count, deliveries = len(run.contents), self.deliveries
        if run.redelivered:
            deliveries.redelivered += count
        if self.ack_required:
            deliveries.consumed_manual_ack += count
            self.outstanding += count
            self.channel.outstanding += count
            self.channel.deliver(self._tag_bytes, run, self)
        else:
            deliveries.consumed_auto_ack += count
            self.channel.deliver(self._tag_bytes, run, None)

    def answered(self, count: int) -> None:
        """So many of its messages were settled: its window opens, and its channel's."""
        self.outstanding -= count
        self.channel.outstanding -= count

    def wake(self) -> None:
        """It may have room again."""
        self.handle.wake(self)


Holder = Subscription | Fetcher


class Got(NamedTuple):
    """A message fetched by basic.get, and how many are ready behind it."""

    run: Run
    messages_ready: int
    holder: Fetcher | None
