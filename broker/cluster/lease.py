"""The lease: until when nobody else can have been put in this member's place.

Decides how long (0.6 of `net_ticktime`, DESIGN S4) and from when: from the moment a heartbeat was *sent* that a quorum
answered. It must not know heartbeats. It outlives a change of leader: a new one holds nobody dead for silence before
the leases have run out that the members of its quorum may have granted to anybody by their last answers.
"""

SHARE_OF_TICKTIME = 0.6


class Lease:
    """`until` is in seconds of the injected clock, -inf without a lease; `length` in seconds."""

    def __init__(self, net_ticktime: float) -> None:
        self.length = SHARE_OF_TICKTIME * net_ticktime
        self._not_before = float("-inf")
        self.until = float("-inf")
        self.suspended = False

    def confirm(self, sent_at: float) -> None:
        """A heartbeat sent at that time was answered by a quorum."""
        if sent_at >= self._not_before:
            self.suspended = False
            self.until = max(self.until, sent_at + self.length)

    def suspend(self, now: float) -> None:
        """This member stood still (DESIGN S4, sleeper): only heartbeats sent from now on count."""
        self._not_before = now
        self.until = float("-inf")
        self.suspended = True
