"""Messages that clients sent and got, counted where the clients are: by channel, and by protocol for a whole node.

Decides what is counted together. Additions are made once for a run or an answer, in the counters of its channel alone;
those of a node are the sum, formed when somebody asks. It must not know what a channel is.
"""

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from typing import Any, Literal, Protocol

from broker.meters.histogram import Histogram

QueueType = Literal["classic", "quorum"]
QUEUE_TYPES: tuple[QueueType, ...] = ("classic", "quorum")


class Deliveries:
    """Messages that came from queues of one type, and what became of them."""

    __slots__ = (
        "acknowledged",
        "consumed_auto_ack",
        "consumed_manual_ack",
        "get_empty",
        "got_auto_ack",
        "got_manual_ack",
        "redelivered",
    )

    def __init__(self) -> None:
        self.consumed_auto_ack = 0
        self.consumed_manual_ack = 0
        self.got_auto_ack = 0
        self.got_manual_ack = 0
        self.get_empty = 0  # basic.get of an empty queue
        self.acknowledged = 0
        self.redelivered = 0  # of those above that have the flag

    def got(self, redelivered: bool | None, *, auto_ack: bool) -> None:
        """An answer to basic.get: a message, flagged or not, or (None) nothing."""
        if redelivered is None:
            self.get_empty += 1
            return
        self.redelivered += redelivered
        if auto_ack:
            self.got_auto_ack += 1
        else:
            self.got_manual_ack += 1

    @property
    def delivered(self) -> int:
        """In whatever way."""
        return self.consumed_auto_ack + self.consumed_manual_ack + self.got_auto_ack + self.got_manual_ack


class Flow:
    """What went through one channel, or through several together."""

    __slots__ = (
        "_classic",
        "_quorum",
        "confirmed",
        "received",
        "received_confirm",
        "routed",
        "unroutable_dropped",
        "unroutable_returned",
    )

    def __init__(self) -> None:
        self.received = 0
        self.received_confirm = 0  # those of them that are to be confirmed
        self.confirmed = 0
        self.routed = 0  # to queues: a message that goes to two counts twice
        self.unroutable_dropped = 0
        self.unroutable_returned = 0
        self._classic: Deliveries | None = None
        self._quorum: Deliveries | None = None

    def deliveries(self, queue_type: QueueType) -> Deliveries:
        """Those of queues of this type; made when they are first asked for, as most channels only publish."""
        if queue_type == "quorum":
            if self._quorum is None:
                self._quorum = Deliveries()
            return self._quorum
        if self._classic is None:
            self._classic = Deliveries()
        return self._classic

    def each(self) -> "list[Deliveries]":
        """Those that there are, of whatever type."""
        return [one for one in (self._classic, self._quorum) if one is not None]

    def lost(self, count: int, *, mandatory: bool) -> None:
        """So many messages go to no queue."""
        if mandatory:
            self.unroutable_returned += count
        else:
            self.unroutable_dropped += count

    def move_to(self, other: "Flow") -> None:
        """Count all of this there, and begin anew."""
        _move(self, other, _FLOW)
        if self._classic is not None:
            _move(self._classic, other.deliveries("classic"), Deliveries.__slots__)
        if self._quorum is not None:
            _move(self._quorum, other.deliveries("quorum"), Deliveries.__slots__)

    @classmethod
    def of_all(cls, flows: "Iterable[Flow]") -> "Flow":
        """What went through all of them; there may be thousands."""
        every, total = list(flows), cls()
        _sum_up(total, _FLOW, every)
        _sum_up(total.deliveries("classic"), _DELIVERIES, [one._classic for one in every if one._classic is not None])
        _sum_up(total.deliveries("quorum"), _DELIVERIES, [one._quorum for one in every if one._quorum is not None])
        return total


_FLOW = tuple(name for name in Flow.__slots__ if not name.startswith("_"))
_DELIVERIES = Deliveries.__slots__


class Counted(Protocol):
    """A channel, as far as it is counted."""

    flow: Flow

    @property
    def consumer_tags(self) -> Collection[str]:
        """One for each consumer."""


class Traffic:
    """The channels of one protocol on one node."""

    def __init__(self) -> None:
        self.channels: dict[Counted, None] = {}
        """Those that are open."""
        self.channels_opened = 0
        self.channels_closed = 0
        self.confirm_s = Histogram()
        """From the arrival of a publish to its confirm's leaving, for each message that was confirmed."""
        self.of_closed = Flow()
        """What went through channels that are closed."""

    def opened(self, channel: Counted) -> None:
        """A channel is there."""
        self.channels[channel] = None
        self.channels_opened += 1

    def closed(self, channel: Counted) -> None:
        """It is gone, perhaps for the second time: what it still answers on its way out counts."""
        if channel in self.channels:
            del self.channels[channel]
            self.channels_closed += 1
        channel.flow.move_to(self.of_closed)

    @property
    def flow(self) -> Flow:
        """What went through all channels that there have been."""
        return Flow.of_all([self.of_closed, *[channel.flow for channel in self.channels]])

    @property
    def publishers(self) -> int:
        """Open channels that have published."""
        return sum(1 for channel in self.channels if channel.flow.received)

    @property
    def consumers(self) -> int:
        """Consumers of open channels."""
        return sum([len(channel.consumer_tags) for channel in self.channels])


def _sum_up(total: Any, names: Sequence[str], parts: Iterable[Any]) -> None:
    for name, value in zip(names, map(sum, zip(*map(attrgetter(*names), parts), strict=True)), strict=False):
        setattr(total, name, value)


def _move(one: Any, other: Any, names: Iterable[str]) -> None:
    for name in names:
        setattr(other, name, getattr(other, name) + getattr(one, name))
        setattr(one, name, 0)
