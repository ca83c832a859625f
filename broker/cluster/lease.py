"""The lease: until when nobody else can have been put in this member's place.

Decides how long (0.6 of `net_ticktime`, DESIGN S4) and from when: from the moment a heartbeat was *sent* that a quorum
answered. An answer counts only once everything is applied that was in the log when it was given: the end of this very
life may be among it. It must not know heartbeats. It outlives a change of leader: a new one holds nobody dead for
silence before the leases have run out that the members of its quorum may have granted to anybody by their last answers.
"""

from collections import deque

SHARE_OF_TICKTIME = 0.6


class Lease:
    """`until` is in seconds of the injected clock, -inf without a lease; `length` in seconds."""

    def __init__(self, net_ticktime: float) -> None:
        self.length = SHARE_OF_TICKTIME * net_ticktime
        self._not_before = float("-inf")
        self.until = float("-inf")
        self.suspended = False
        self._newest = float("-inf")
        self._waiting: deque[tuple[int, float]] = deque()
        """(zxid that has to be applied first, when the heartbeat was sent)."""

    def confirm(self, sent_at: float, known: int, applied: int) -> None:
        """A heartbeat sent at that time was answered by a quorum, by somebody who knew the log up to `known`."""
        if sent_at > self._newest:  # the earlier answer to the same heartbeat was given by one who knew less
            self._newest = sent_at
            self._waiting.append((known, sent_at))
            self.applied(applied)

    def applied(self, zxid: int) -> None:
        """Everything up to this zxid is applied."""
        while self._waiting and self._waiting[0][0] <= zxid:
            sent_at = self._waiting.popleft()[1]
            if sent_at >= self._not_before:
                self.suspended = False
                self.until = max(self.until, sent_at + self.length)

    def suspend(self, now: float) -> None:
        """This member stood still (DESIGN S4, sleeper): only heartbeats sent from now on count."""
        self._not_before = now
        self._waiting.clear()
        self.until = float("-inf")
        self.suspended = True
