"""One link to every other node: two lanes each way, dialled, greeted, kept up, and watched for the death of the peer.

Decides who is a peer and who hears what; it must not know what any frame means. For each ordered pair of nodes and each
lane ("control" for ZAB and heartbeats, "data" for everything else, so that neither waits behind the other) there is one
connection, dialled by the sender and used by the sender alone:

    n1 ──control──▶ n2      on_up / on_down on n1, on_incoming / on_incoming_closed on n2
    n1 ◀──control── n2      the other way round; "data" likewise

Callbacks and handlers never wait, and may call anything here that does not wait. What they hear of one life of a peer
comes in this order: its connections go up and down, on_dead if that was proven (S10), then the next life goes up. After
on_dead no frame of that life is handed out. What a callback or handler raises is a bug and climbs out of `run`.
"""

from collections.abc import Collection, Mapping
from random import Random
from typing import Final, Literal

import trio

from broker.cluster.refusal import Refused
from broker.peers.admin import AdminHandler
from broker.peers.connection import Handler
from broker.peers.dialling import Dialler
from broker.peers.introduction import LANES, Credentials, Identity, Tls
from broker.peers.peer import News, Peer
from broker.peers.reception import Objection, Reception
from broker.wire.peer_frames import KIND_FIRST_FREE
from broker.world.network import Listener, Network

BACKLOG_BYTES_MAX = 128 * 1024 * 1024
"""With more than this waiting on one lane for a peer that does not read, one frame more, and the connection is given
up. A frame may be longer: what counts is what waits before it."""

Direction = Literal["in", "out"]
CUTS: Final[Mapping[str, tuple[Direction, ...]]] = {"both": ("in", "out"), "in": ("in",), "out": ("out",)}
"""What commands call a pretended cut, and which directions it is of."""


def check_cuts(cuts: Mapping[str, str], nodes: Collection[str]) -> None:
    """Raises Refused `invalid` for what is no cut from one of these nodes."""
    for peer, cut in cuts.items():
        if peer not in nodes or cut not in CUTS:
            raise Refused("invalid", f"{peer}:{cut} does not name a node and one of {', '.join(CUTS)}")


class Links:
    """This node's links. Lives as long as `run`."""

    def __init__(
        self,
        network: Network,
        credentials: Credentials,
        peers: Mapping[str, str],
        chance: Random,
        *,
        tls: Tls | None = None,
        backlog_bytes_max: int = BACKLOG_BYTES_MAX,
        objection: Objection | None = None,
    ) -> None:
        """`objection`: why another node may not come in, see there.

        `peers` are the link addresses of the other nodes by name, empty for one that has to dial here first."""
        self._network = network
        self._credentials = credentials
        self._chance = chance
        self._tls = tls
        self._backlog_bytes_max = backlog_bytes_max
        self._handlers: dict[int, Handler] = {}
        self._news = News()
        self._objection = objection
        self._nursery: trio.Nursery | None = None
        self._peers = {name: Peer(name, address, self._news) for name, address in peers.items()}
        self.on_up = self._news.up
        self.on_down = self._news.down
        self.on_dead = self._news.dead
        self.on_refused = self._news.refused
        self.on_incoming = self._news.incoming
        self.on_incoming_closed = self._news.incoming_closed

    @property
    def names(self) -> Collection[str]:
        """The other nodes."""
        return self._peers.keys()

    async def run(self, listener: Listener, admin: AdminHandler | None = None) -> None:
        """Keep the links up, and answer at `listener`, until cancelled; it is closed then. `admin` answers commands."""
        reception = Reception(
            self._credentials, self._peers, self._handlers, tls=self._tls, admin=admin, objection=self._objection
        )
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for peer in self._peers.values():
                    nursery.start_soon(self._keep_up, peer)
                await reception.run(listener)
        finally:
            self._nursery = None
            listener.close_now()

    def handle(self, kind: int, handler: Handler) -> None:
        """Have frames of a kind (16 to 255) handed to `handler`, in order, as they come."""
        assert KIND_FIRST_FREE <= kind <= 255, f"kind {kind} is not free"
        assert kind not in self._handlers, f"kind {kind} has a handler"
        self._handlers[kind] = handler

    def send(self, peer: str, lane: str, kind: int, payload: bytes) -> int:
        """Queue a frame of at most FRAME_BYTES_MAX; it leaves in this turn or the next.

        Returns the stream offset behind it, which the peer sees with it. Offsets of a lane only grow, over reconnects
        too. -1 if the lane is down: nothing was queued, and on_down has been told or is about to be.
        """
        found = self._peers.get(peer)
        half = None if found is None else found.outgoing.get(lane)
        return -1 if half is None else half.send(kind, payload)

    def offset(self, peer: str, lane: str) -> int:
        """The stream offset behind everything queued so far; when on_up is told, where the connection begins."""
        found = self._peers.get(peer)
        if found is None:
            return 0
        half = found.outgoing.get(lane)
        return found.offsets[lane] if half is None else half.offset

    def backlog_bytes(self, peer: str, lane: str = "data") -> int:
        """What is queued and not yet taken by the network; 0 if the lane is down."""
        found = self._peers.get(peer)
        half = None if found is None else found.outgoing.get(lane)
        return 0 if half is None else half.backlog_bytes

    def octets(self, peer: str) -> tuple[int, int]:
        """The bytes of frames that have come from a peer over the connections that are open now, counted since its life
        began, and that were queued for it in this life."""
        found = self._peers.get(peer)
        if found is None:
            return 0, 0
        received = sum([half.offset for half in found.incoming.values()])
        return received, sum([self.offset(peer, lane) for lane in found.offsets])

    def address(self, peer: str) -> str:
        """Where a peer is dialled; empty as long as nobody knows."""
        found = self._peers.get(peer)
        return "" if found is None else found.address

    async def drained(self, peer: str, lane: str, below_bytes: int) -> bool:
        """Wait until the backlog is at most `below_bytes`; False if the lane is down or goes down."""
        found = self._peers.get(peer)
        half = None if found is None else found.outgoing.get(lane)
        return half is not None and await half.drained(below_bytes)

    def identity(self, peer: str) -> Identity | None:
        """Life and folder of the peer as last greeted; None if not yet seen, or proven over since."""
        found = self._peers.get(peer)
        return None if found is None else found.evidence.known

    def is_up(self, peer: str, lane: str) -> bool:
        """Whether frames can be sent."""
        found = self._peers.get(peer)
        return found is not None and lane in found.outgoing

    def refusals(self) -> dict[str, str]:
        """The peers that refuse to speak to this node, with their words."""
        return {name: peer.refusal for name, peer in self._peers.items() if peer.refusal}

    def disconnect(self, peer: str, reason: str) -> None:
        """Close every connection with a peer, as when it was silent for too long; dialling begins anew."""
        self._peers[peer].disconnect(reason)

    def add_peer(self, name: str, address: str) -> None:
        """A node has joined, or has another address now."""
        found = self._peers.get(name)
        if found is not None:
            found.move(address)
            return
        self._peers[name] = Peer(name, address, self._news)
        if self._nursery is not None:
            self._nursery.start_soon(self._keep_up, self._peers[name])

    def remove_peer(self, name: str) -> None:
        """A node has left: from now on it is a stranger."""
        left = self._peers.pop(name, None)
        if left is not None:
            left.disconnect("not a member any more")
            left.scope.cancel()

    def block(self, peer: str, direction: Direction) -> None:
        """Pretend a cut: what the peer says ("in") or what is said to it ("out") is lost, until `unblock`.

        It sees silence: nothing is closed, and no greeting is answered.
        """
        self._peers[peer].block(incoming=direction == "in")

    def unblock(self, peer: str, direction: Direction) -> None:
        """Mend it; once neither direction is cut the connections start afresh, for bytes are missing from them."""
        self._peers[peer].unblock(incoming=direction == "in")

    def blocked(self) -> dict[str, list[Direction]]:
        """The cuts in force, by peer."""
        cuts: dict[str, list[Direction]] = {}
        for name, peer in self._peers.items():
            if peer.deaf:
                cuts.setdefault(name, []).append("in")
            if peer.mute:
                cuts.setdefault(name, []).append("out")
        return cuts

    async def _keep_up(self, peer: Peer) -> None:
        with peer.scope:
            async with trio.open_nursery() as nursery:
                for lane in LANES:
                    dialler = Dialler(
                        self._network,
                        self._credentials,
                        peer,
                        lane,
                        self._chance,
                        tls=self._tls,
                        backlog_bytes_max=self._backlog_bytes_max,
                    )
                    nursery.start_soon(dialler.run)
