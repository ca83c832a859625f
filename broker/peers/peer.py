"""What this node has with one other node: the open halves, the evidence of its life, and a cut that is pretended.

Decides in which order the rest of the house hears of a peer: its connections close, then its life is over, then the
next life is up. It must not know how connections come about.
"""

import logging
from collections.abc import Callable

import trio

from broker.peers.connection import Incoming, Outgoing
from broker.peers.evidence import Evidence
from broker.peers.introduction import LANES, Identity

log = logging.getLogger("warren.peers")

LaneWatcher = Callable[[str, int, str], None]
"""Told peer, life and lane; never waits."""
DeathWatcher = Callable[[str, int], None]
"""Told peer and life; never waits."""
RefusalWatcher = Callable[[str, str], None]
"""Told peer and its words; never waits."""


class News:
    """Who wants to hear of connections and deaths."""

    __slots__ = ("dead", "down", "incoming", "incoming_closed", "refused", "up")

    def __init__(self) -> None:
        self.up: list[LaneWatcher] = []
        self.down: list[LaneWatcher] = []
        self.incoming: list[LaneWatcher] = []
        self.incoming_closed: list[LaneWatcher] = []
        self.dead: list[DeathWatcher] = []
        self.refused: list[RefusalWatcher] = []


class Peer:
    """One other node, whichever life it is in."""

    def __init__(self, name: str, address: str, news: News) -> None:
        self.name = name
        self.address = address
        """Where it is dialled; empty as long as nobody knows."""
        self.evidence = Evidence()
        self.outgoing: dict[str, Outgoing] = {}
        self.incoming: dict[str, Incoming] = {}
        self.refusal = ""
        """What it said when it refused to speak to this node, last time."""
        self.offsets = dict.fromkeys(LANES, 0)
        self.scope = trio.CancelScope()
        self.deaf = False
        self.mute = False
        self.mended = trio.Event()
        self._kicks = {lane: trio.Event() for lane in LANES}
        self._news = news

    def halves(self) -> list[Outgoing | Incoming]:
        """Everything that is open."""
        return [*self.outgoing.values(), *self.incoming.values()]

    def opens(self, half: Outgoing | Incoming) -> bool:
        """Take a greeted connection; False, and it is closed, if it is too late for it."""
        identity, dialled = half.identity, isinstance(half, Outgoing)
        if self.deaf or self.mute or not self.evidence.believes(identity, dialled=dialled):
            half.end("too late")
            return False
        ended = self.evidence.ends(identity)
        if ended is not None:
            self.disconnect("a newer life is there")
            self._dies(ended, f"life {identity.life} is there")
        if isinstance(half, Outgoing):
            self.outgoing[half.lane] = half
            event, watchers = "up", self._news.up
        else:
            before = self.incoming.get(half.lane)
            if before is not None:  # the peer dials again only when it has given that one up
                self.closes(before, "dialled again")
            self.incoming[half.lane] = half
            event, watchers = "incoming", self._news.incoming
        self.evidence.opened(identity, dialled=dialled)
        self._tell(event, watchers, half)
        return half.open

    def closes(self, half: Outgoing | Incoming, reason: str) -> None:
        """Close a connection, or take note that it has ended by itself; the second time nothing happens."""
        half.end(reason)
        if half not in self.halves():
            return
        if isinstance(half, Outgoing):
            del self.outgoing[half.lane]
            self.offsets[half.lane] = half.offset
            event, watchers = "down", self._news.down
        else:
            del self.incoming[half.lane]
            event, watchers = "incoming_closed", self._news.incoming_closed
        self.evidence.closed()
        self._tell(event, watchers, half)
        if not self.outgoing and not self.incoming:
            self.kick()

    def disconnect(self, reason: str) -> None:
        """Close every connection."""
        for half in self.halves():
            self.closes(half, reason)

    def refused(self, started: float, now: float) -> None:
        """A dial that began at `started` found nobody listening, unless a cut since then hides even that."""
        ended = None if self.deaf or self.mute else self.evidence.refused(started, now)
        if ended is not None:
            self._dies(ended, "refused twice")

    def hear_refusal(self, words: str) -> None:
        """It does not want to speak to this node, and says why; empty: it has not said so."""
        self.refusal = words
        if words:
            for watcher in self._news.refused:
                watcher(self.name, words)

    def block(self, *, incoming: bool) -> None:
        """Pretend a cut: drop what comes, or what goes."""
        if incoming:
            self.deaf = True
            for half in self.halves():
                half.deaf = True
        else:
            self.mute = True
            for outgoing in self.outgoing.values():
                outgoing.silence()

    def unblock(self, *, incoming: bool) -> None:
        """Mend it. When nothing is cut any more, what was open starts afresh, since bytes are missing from it."""
        if incoming:
            self.deaf = False
        else:
            self.mute = False
        if not (self.deaf or self.mute):
            self.disconnect("the cut is mended")
            self.mended.set()
            self.mended = trio.Event()

    async def within_reach(self, lane: str) -> None:
        """Wait while any direction is cut, since a connection needs both to come about, or nobody knows the address."""
        while self.deaf or self.mute or not self.address:
            await (self.mended if self.address else self.next_kick(lane)).wait()

    def move(self, address: str) -> None:
        """It is dialled at this address from now on."""
        if address and address != self.address:
            log.info("moved peer=%s from=%s to=%s", self.name, self.address or "nowhere", address)
            self.address = address
            self.evidence.moved()
            self.kick()

    def kick(self) -> None:
        """Have whoever rests before the next dial look now."""
        for kick in self._kicks.values():
            kick.set()

    def next_kick(self, lane: str) -> trio.Event:
        """What the next kick will set."""
        self._kicks[lane] = trio.Event()
        return self._kicks[lane]

    def _dies(self, ended: Identity, proof: str) -> None:
        log.warning("dead peer=%s life=%d proof=%r", self.name, ended.life, proof)
        for watcher in self._news.dead:
            watcher(self.name, ended.life)

    def _tell(self, event: str, watchers: list[LaneWatcher], half: Outgoing | Incoming) -> None:
        reason = f" reason={half.reason!r}" if half.reason else ""
        log.info("%s peer=%s life=%d lane=%s%s", event, self.name, half.identity.life, half.lane, reason)
        for watcher in watchers:
            watcher(self.name, half.identity.life, half.lane)
