"""Who is alive, as far as this member can tell.

Decides when a life counts as over (DESIGN S10): at once when its end is proven (its address refuses, or answers with a
newer life), else after `net_ticktime` of silence on this member's own link, whoever led meanwhile. It must not know
what follows from a verdict, nor who leads.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Peer:
    """What is known of another member. `life` 0: never met. Times are seconds of the injected clock."""

    life: int = 0
    past_life: int = 0
    folder: str = ""
    token: str = ""
    up: bool = False
    proven_dead: bool = False
    heard_at: float = float("-inf")
    sound_at: float = float("-inf")
    """When anything at all came from it, be it no sign that it hears."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """This life is over; `proven`, or only silent."""

    proven: bool


class Detector:
    """The peers, their links and when they were last heard."""

    def __init__(self, net_ticktime: float, now: float, over: Mapping[str, int] | None = None) -> None:
        """`over`: by name the newest life whose end this process has proven, perhaps in a former life of its own."""
        self.net_ticktime = net_ticktime
        self.peers: dict[str, Peer] = {}
        self.over = dict(over or {})
        self._watching_since = now

    def peer(self, name: str) -> Peer:
        """The record of this peer, made when first asked for."""
        peer = self.peers.get(name)
        if peer is None:
            peer = self.peers[name] = Peer()
        return peer

    def link_up(self, name: str, life: int, now: float) -> None:
        """The link to this life of the peer stands. An older life than the known one is ignored."""
        peer = self.peer(name)
        if life < peer.life:
            return
        if life > peer.life:
            peer.past_life, peer.life = peer.life, life
            self.prove_over(name, peer.past_life)
        peer.up, peer.proven_dead, peer.heard_at = True, False, now
        if self.over.get(name, 0) >= life:  # what greets is alive, whatever others say
            self.over[name] = life - 1

    def link_down(self, name: str, life: int, proven: bool) -> None:
        """The link to this life broke; `proven`: and the life is certainly over."""
        peer = self.peer(name)
        if proven:
            self.prove_over(name, life)
        if life < peer.life:
            return
        if life > peer.life:
            peer.past_life, peer.life = peer.life, life
        peer.up = False
        peer.proven_dead = peer.proven_dead or proven

    def prove_over(self, name: str, life: int) -> None:
        """This life, and with it every earlier one, is certainly over."""
        if life > 0:
            self.over[name] = max(life, self.over.get(name, 0))

    def hear_of_deaths(self, over: Mapping[str, int]) -> None:
        """Another member has proofs. They count but for a life to which a link stands here."""
        for name, life in over.items():
            peer = self.peer(name)
            if not peer.up or peer.life > life:
                self.prove_over(name, life)

    def heard(self, name: str, now: float) -> None:
        """Something arrived from the peer."""
        self.peer(name).heard_at = now

    def sound(self, name: str, now: float) -> None:
        """Something came from the peer, whatever it was."""
        self.peer(name).sound_at = now

    def mute(self, name: str, now: float) -> bool:
        """Not even a sound for `net_ticktime`, all of which this member was watching."""
        peer = self.peer(name)
        return now >= max(peer.heard_at, peer.sound_at, self._watching_since) + self.net_ticktime

    def watch_anew(self, now: float) -> None:
        """Silence counts from now on: this member slept."""
        self._watching_since = now

    def overslept(self, seconds: float, now: float) -> None:
        """This member heard nobody for so long, by its own fault: that is not their silence."""
        self._watching_since = min(self._watching_since + seconds, now)
        for peer in self.peers.values():
            peer.heard_at = min(peer.heard_at + seconds, now)
            peer.sound_at = min(peer.sound_at + seconds, now)

    def silent(self, name: str, now: float) -> bool:
        """Not heard for `net_ticktime`, all of which this member was watching."""
        return now >= self._silent_from(name)

    def next_silence(self, now: float) -> float:
        """When the next peer will have been silent for too long, if it says nothing; inf if none can."""
        return min((at for at in map(self._silent_from, self.peers) if at > now), default=float("inf"))

    def verdict(self, name: str, life: int, now: float) -> Verdict | None:
        """Whether this life of the peer is over; None while it may go on."""
        peer = self.peer(name)
        if peer.life > life or self.over.get(name, 0) >= life:
            return Verdict(proven=True)
        return Verdict(proven=False) if self.silent(name, now) else None

    def met(self, name: str, life: int) -> bool:
        """Whether this member had a link to that very life (of the last two it is remembered)."""
        peer = self.peer(name)
        return life > 0 and life in (peer.life, peer.past_life)

    def _silent_from(self, name: str) -> float:
        return max(self.peer(name).heard_at, self._watching_since) + self.net_ticktime
