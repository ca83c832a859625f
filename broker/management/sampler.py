"""What one node counts, looked at every five seconds: its queues, its clients, itself.

Decides when what is looked at: in small steps spread over the interval, so that nobody waits for it, and what a node
as a whole has done. It must not know who asks for rates, nor how they are shown.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from operator import add, sub
from typing import TYPE_CHECKING, Any, Final

import trio

from broker.management.history import FINE, GLOBAL, INTERVAL_MS, History, Values
from broker.management.ledger import Ledger, Shelf
from broker.meters.meters import AMQP

if TYPE_CHECKING:
    from broker.meters.traffic import Flow
    from broker.vhosts.hall import Hall

STEP_S: Final = 0.05
QUEUE_STEPS: Final = 40
"""Ten thousand queues are 250 in a step, which take half a millisecond."""
CLIENT_STEPS: Final = 40
FLOWS_PER_TURN: Final = 500

CONNECTION_FIGURES: Final = ("recv_oct", "send_oct")
CHANNEL_FIGURES: Final = (
    "publish",
    "confirm",
    "return_unroutable",
    "drop_unroutable",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "ack",
    "redeliver",
)


def figures_of(flow: "Flow") -> tuple[int, ...]:
    """What went through a channel, in the order of CHANNEL_FIGURES."""
    manual = auto = got = got_auto = empty = acknowledged = redelivered = 0
    for one in flow.each():
        manual += one.consumed_manual_ack
        auto += one.consumed_auto_ack
        got += one.got_manual_ack
        got_auto += one.got_auto_ack
        empty += one.get_empty
        acknowledged += one.acknowledged
        redelivered += one.redelivered
    published = flow.received, flow.confirmed, flow.unroutable_returned, flow.unroutable_dropped
    return (*published, manual, auto, got, got_auto, empty, acknowledged, redelivered)


class Sampler:
    """One per life of a node."""

    def __init__(self, hall: "Hall", ledger: Ledger, own_figures: Callable[[], Values], own_width: int) -> None:
        """`own_figures`: what the node says of itself beside the traffic, `own_width` of them."""
        self.ledger = ledger
        self.connections = Shelf[str](len(CONNECTION_FIGURES), FINE)
        self.channels = Shelf[str](len(CHANNEL_FIGURES), FINE)
        self.links = Shelf[str](len(CONNECTION_FIGURES), GLOBAL)
        """By peer."""
        self._node_width = len(CHANNEL_FIGURES) + own_width
        self.node = History(self._node_width, GLOBAL)
        self._hall = hall
        self._own_figures = own_figures
        self._last: dict[Flow, tuple[int, ...]] = {}
        self._open: Values = (0,) * len(CHANNEL_FIGURES)
        """The sum of `_last`."""

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            began = trio.current_time()
            for number, _ in enumerate(self._sweep()):
                await trio.sleep_until(began + STEP_S * (number + 1))
            await trio.sleep_until(began + INTERVAL_MS / 1000)

    async def traffic(self) -> Values:
        """What went through all channels that this node has had, now; others have their turns in between."""
        flows = [channel.flow for channel in self._hall.meters.traffic[AMQP].channels]
        for start in range(0, len(flows), FLOWS_PER_TURN):
            await trio.lowlevel.checkpoint()
            for flow in flows[start : start + FLOWS_PER_TURN]:
                self._look(flow)
        return self._total()

    def forget(self) -> None:
        """Begin anew: nothing was before."""
        for shelf in self._shelves:
            shelf.histories.clear()
        self.node = History(self._node_width, GLOBAL)

    def _sweep(self) -> Iterator[None]:
        stamp_ms = self._stamp_ms
        return chain(self.ledger.sweep(stamp_ms, QUEUE_STEPS), self._clients(), self._itself())

    def _stamp_ms(self) -> int:
        return self._hall.switchboard.stamp_ms

    def _clients(self) -> Iterator[None]:
        presences = list(self._hall.roster.presences.items())
        for step in range(CLIENT_STEPS):
            now_ms = self._stamp_ms()
            for pid, presence in presences[step::CLIENT_STEPS]:
                self.connections.note(pid, now_ms, presence.octets())
                for channel_pid, flow in presence.flows():
                    self.channels.note(channel_pid, now_ms, self._look(flow))
            yield
        now_ms = self._stamp_ms()
        self.connections.keep(self._hall.roster.presences)
        self.channels.keep({pid for one in self._hall.roster.presences.values() for pid, _ in one.flows()})
        yield from self.connections.tidy(now_ms)
        yield from self.channels.tidy(now_ms)

    def _itself(self) -> Iterator[None]:
        self.ledger.forget_vhosts(self._hall.catalogue.vhosts)
        self.node.note(self._stamp_ms(), (*self._total(), *self._own_figures()))
        links = self._hall.switchboard.links
        for peer in links.names:
            self.links.note(peer, self._stamp_ms(), links.octets(peer))
        self.links.keep(links.names)
        yield from self.links.tidy(self._stamp_ms())

    @property
    def memory_bytes(self) -> int:
        """What is remembered of the past, about."""
        return sum([shelf.memory_bytes for shelf in self._shelves])

    @property
    def _shelves(self) -> "Iterable[Shelf[Any]]":
        return self.ledger.queues, self.ledger.vhosts, self.connections, self.channels, self.links

    def _look(self, flow: "Flow") -> tuple[int, ...]:
        values, before = figures_of(flow), self._last.get(flow)
        if values != before:
            self._last[flow] = values
            self._open = list(map(add, self._open, values if before is None else map(sub, values, before)))
        return values

    def _total(self) -> Values:
        """In one go: what a channel counted that has just been closed is in exactly one place."""
        traffic = self._hall.meters.traffic[AMQP]
        for flow in self._last.keys() - {channel.flow for channel in traffic.channels}:
            self._open = list(map(sub, self._open, self._last.pop(flow)))
        return list(map(add, self._open, figures_of(traffic.of_closed)))
