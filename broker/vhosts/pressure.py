"""What is full on this node and on the others: publishers wait for both, since what they send ends up on any of them.

Decides why publishers have to wait (DESIGN S8, S11): an alarm of memory or disk, a journal or a mirror that does not
keep up, a link with too much on its way, too many publications without answer; and how much they are slowed while a
catch-up would not end (S5). It must not know who is kept waiting, nor how.
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from broker.cluster.refusal import Refused
from broker.vhosts.lag import Lag
from broker.wire import queue_frames as frames

if TYPE_CHECKING:
    from broker.mirroring.pacing import Pacing
    from broker.vhosts.alarms import Alarms
    from broker.vhosts.local import Local
    from broker.vhosts.switchboard import Switchboard

log = logging.getLogger("warren.queues")

JOURNAL_BACKLOG_BYTES_MAX = 64 * 1024 * 1024
LINK_BACKLOG_BYTES_MAX = 32 * 1024 * 1024
MIRROR_BACKLOG_BYTES_MAX = 64 * 1024 * 1024
"""Publishers wait while a mirror has so much of the stream to it that it has not synced."""
UNANSWERED_BYTES_MAX = 64 * 1024 * 1024
"""Publishers wait while so much of this node's publications has no answer from masters elsewhere."""


class Pressure:
    """One per node. What is full here is told to the other nodes as long as it is."""

    def __init__(self, switchboard: "Switchboard", alarms: "Alarms", pacing: "Pacing | None" = None) -> None:
        self._switchboard = switchboard
        self._alarms = alarms
        self._elsewhere: dict[str, list[str]] = {}
        self._raised: list[str] = []
        self._was_full = False
        self._lag = Lag(pacing)
        self._own_share = 1.0
        self._shares: dict[str, float] = {}
        switchboard.links.handle(frames.PRESSURE, self._hear)
        switchboard.links.on_incoming_closed.append(self._forget)

    def look(self, peers: Iterable[str], masters: "Iterable[Local]") -> dict[str, str]:
        """What is full now, and the word for clients; empty for a short wait that needs none. `masters`: those that
        wait for a mirror, or fill one."""
        board, peers, masters = self._switchboard, list(peers), list(masters)
        full = self._full_here(masters)
        self._own_share = self._lag.look(masters, board.steady_ms)
        self._tell(peers, full)
        for peer, reasons in self._elsewhere.items():
            full |= {f"node {peer} {reason}".rstrip(): reason for reason in reasons or ("",)}
        if any(board.links.backlog_bytes(peer) > LINK_BACKLOG_BYTES_MAX for peer in peers):
            full["links"] = ""
        if self._unanswered_bytes() > UNANSWERED_BYTES_MAX:
            full["unanswered"] = ""
        return full

    def check(self) -> None:
        """Raise Refused `blocked` while memory or disk run short anywhere, to whoever publishes without a connection:
        there is nobody who could be kept waiting as clients are."""
        short = {*self._alarms.look(), *(reason for reasons in self._elsewhere.values() for reason in reasons)}
        if short:
            raise Refused("blocked", f"publishers wait: low on {' & '.join(sorted(short))}")

    @property
    def share(self) -> float:
        """The share of their time in which publishers may publish."""
        return min(self._own_share, *self._shares.values(), 1.0)

    def _unanswered_bytes(self) -> int:
        unanswered = self._switchboard.unanswered
        for publications in [each for each in unanswered if not each.entries]:
            del unanswered[publications]
        return sum(publications.size_bytes for publications in unanswered)

    def _full_here(self, masters: "list[Local]") -> dict[str, str]:
        journal, raised = self._switchboard.journal, self._alarms.look()
        if raised != self._raised:
            self._raised = raised
            log.warning("event=alarms low_on=%s", ",".join(raised) or "nothing")
        full = {resource: resource for resource in raised}
        if journal.backlog_bytes > JOURNAL_BACKLOG_BYTES_MAX:
            full["journal"] = ""
        followers = (follower for local in masters for follower in local.master.witnesses.followers.values())
        if any(follower.outstanding_bytes > MIRROR_BACKLOG_BYTES_MAX for follower in followers):
            full["mirrors"] = ""
        return full

    def _tell(self, peers: list[str], full: dict[str, str]) -> None:
        is_full = bool(full) or self._own_share < 1.0
        if is_full or self._was_full:
            reasons = sorted(filter(None, full.values()))
            payload = frames.encode_json({"full": bool(full), "reasons": reasons, "share": self._own_share})
            for peer in peers:
                self._switchboard.send(peer, frames.PRESSURE, payload)
        self._was_full = is_full

    def _hear(self, peer: str, payload: bytes, offset: int) -> None:
        fields = frames.decode_json(payload)
        self._shares[peer] = fields["share"]
        if fields["full"]:
            self._elsewhere[peer] = fields["reasons"]
        else:
            self._elsewhere.pop(peer, None)

    def _forget(self, peer: str, life: int, lane: str) -> None:
        if lane == "data":
            self._elsewhere.pop(peer, None)
            self._shares.pop(peer, None)
