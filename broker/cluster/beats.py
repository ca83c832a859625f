"""Rounds of heartbeats of a leader: which is the last that a quorum answered, and when it was sent.

Decides nothing about leases; it must not know who answered.
"""

from broker.cluster.messages import NO_STAMP

HURRIED_ROUNDS_MAX = 10
"""Three give everybody a lease; one that does not answer is not asked as fast as the others do."""


class Beats:
    """Rounds count from 1. `hurry`: so many rounds are to follow as soon as the one before is confirmed."""

    def __init__(self) -> None:
        self.round = 0
        self.confirmed = 0
        self.confirmed_sent_at = NO_STAMP
        self.hurry = HURRIED_ROUNDS_MAX
        self._sent_at: dict[int, float] = {}

    def begin(self, now: float) -> int:
        """A new round, sent now."""
        self.round += 1
        self._sent_at[self.round] = now
        return self.round

    def confirm(self, number: int) -> bool:
        """A quorum has answered this round; whether that is news."""
        if number <= self.confirmed:
            return False
        self.confirmed = number
        self.confirmed_sent_at = self._sent_at[number]
        self._sent_at = {later: sent for later, sent in self._sent_at.items() if later > number}
        return True
