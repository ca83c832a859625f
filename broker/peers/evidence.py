"""When is a life of another node proven over? (S10)

Decides it from what the links saw of one peer; it must not know sockets or who wants to hear of the death. Rules:

1. Proof is only ever about the *known* life, one whose greeting was believed. A peer not yet seen is merely not there.
2. Two refused dials prove it if the second began after the first had been answered, at most 20 ms apart, once no
   connection of that life is left, and if that life was once seen to listen at that address. (A node that dials us
   before it listens would else be declared dead.)
3. A newer life in its place proves it: a higher counter in the same folder, or, where *we* dialled, another folder.
   Somebody with another folder who dials *us* proves nothing: it may be a second process of that name elsewhere.
4. A life that is over never comes back: a greeting of it was only late.
"""

from collections import deque

from broker.peers.introduction import Identity

REFUSALS_APART_S = 0.020
LOOKS_MAX = 20
"""How many quick dials are spent on one closed link before the ordinary back-off: a busy loop misses the 20 ms."""
PAST_LIVES = 16


class Evidence:
    """What was seen of one peer."""

    __slots__ = ("_connections", "_listened", "_looks", "_past", "_refused_at", "known")

    def __init__(self) -> None:
        self.known: Identity | None = None
        self._listened = False
        self._connections = 0
        self._refused_at: float | None = None
        self._looks = 0
        self._past: deque[Identity] = deque(maxlen=PAST_LIVES)

    def believes(self, identity: Identity, *, dialled: bool) -> bool:
        """Whether a connection with `identity` may be opened; `dialled` if it answered at the peer's address."""
        known = self.known
        if known is None or identity == known:
            return identity not in self._past
        if identity in self._past:
            return False
        return identity.life > known.life if identity.folder == known.folder else dialled

    def ends(self, identity: Identity) -> Identity | None:
        """The known life, if the believed `identity` in its place proves that it is over. Call before `opened`."""
        return self._over() if self.known is not None and self.known != identity else None

    def opened(self, identity: Identity, *, dialled: bool) -> None:
        """A connection with a believed identity is open."""
        self.known = identity
        self._listened = self._listened or dialled
        self._connections += 1
        self._refused_at = None
        self._looks = 0

    def closed(self) -> None:
        """A connection of the known life is gone."""
        self._connections -= 1
        self._refused_at = None
        self._looks = 0

    def failed(self) -> None:
        """A dial failed in a way that proves nothing: a dying process may still take a connection and reset it."""
        self._refused_at = None
        if self.known is not None and self._listened:
            self._looks += 1

    def refused(self, started: float, now: float) -> Identity | None:
        """A dial begun at `started` was refused; the life that this proves over."""
        if self.known is None or not self._listened:
            return None
        self._looks += 1
        if self._connections:
            return None
        before, self._refused_at = self._refused_at, now
        if before is None or started < before:
            return None
        return self._over() if now - before <= REFUSALS_APART_S else None

    def moved(self) -> None:
        """The peer is dialled at another address from now on, where the known life was not seen to listen."""
        self._listened = False
        self._refused_at = None
        self._looks = 0

    def wants_another_look(self) -> bool:
        """Whether the next dial should follow within a few milliseconds."""
        return 0 < self._looks < LOOKS_MAX

    def _over(self) -> Identity | None:
        ended = self.known
        if ended is not None:
            self._past.append(ended)
        self.known = None
        self._listened = False
        self._refused_at = None
        self._looks = 0
        return ended
