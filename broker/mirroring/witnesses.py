"""Who has durably seen up to where; the lowest mark is what may be confirmed (DESIGN rules S1 and S2).

Decides when a note of the master's log is safe: on this node's own disk if it must be there, and at every mirror
that counts. The master counts the committed in-sync set and every mirror whose entry it has proposed. It must not
know what the notes say.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from broker.mirroring.ranges import Range

if TYPE_CHECKING:
    from broker.mirroring.follower import Follower


class Opened(NamedTuple):
    """Messages of this level may be delivered up to this position."""

    level: int
    upto: int


Effect = Opened | list[Range] | None
"""What becomes true when a note is safe: a wider mark, settled positions whose space may go, or a confirm (None)."""


Wait = tuple[int, int, bool, Effect]
"""One note that somebody waits for: its number, where it ends in the own journal (0 if that does not matter), whether
mirrors must have synced it, and its effect."""


class Witnesses:
    """The mirrors of one term and the notes that wait for them."""

    __slots__ = ("followers", "member_nodes", "waiting")

    def __init__(self) -> None:
        self.followers: dict[str, Follower] = {}
        self.member_nodes: set[str] = set()
        """Nodes of the committed in-sync set, without the master's own."""
        self.waiting: deque[Wait] = deque()

    @property
    def anybody(self) -> bool:
        """Whether there is, or should be, any mirror at all."""
        return bool(self.followers or self.member_nodes)

    def statistics(self) -> dict[str, Any]:
        """`missing`: how many messages each mirror lacks that has said what it holds. `filling`: whether any is being
        sent what it lacks. `unsettled`: whether any that is not in sync may become so unasked."""
        followers = self.followers
        strangers = [follower for node, follower in followers.items() if node not in self.member_nodes]
        return {
            "missing": {node: follower.missing_count for node, follower in followers.items() if follower.stated},
            "filling": any(follower.missing for follower in followers.values()),
            "unsettled": any(follower.missing or not follower.lacking for follower in strangers),
        }

    def counts(self) -> tuple[int, int]:
        """How many mirrors there are, and how many of them are in sync."""
        followers = self.followers
        return (len(followers), len(followers.keys() & self.member_nodes)) if followers else (0, 0)

    @property
    def are_settled(self) -> bool:
        """Whether every mirror is in sync and gets all as it is made, and none is missed."""
        followers = self.followers
        joined = [node for node, follower in followers.items() if follower.joined and not follower.refused]
        return len(joined) == len(followers) and self.member_nodes == followers.keys()

    def required(self) -> set[str]:
        """Whose acknowledgement a confirm needs."""
        if not self.followers:
            return self.member_nodes
        awaited = {
            node for node, follower in self.followers.items() if follower.awaited is not None or follower.entering
        }
        return self.member_nodes | awaited

    def may_enter(self, follower: "Follower", confirmed_note: int) -> bool:
        """Whether a mirror's entry may be proposed now: it holds every record that was confirmed without it (S2).

        Confirms wait for it from the moment it is filled, so that no more are given without it while it still has to
        sync the last ones.
        """
        filled = follower.complete and follower.synced_note >= follower.filled_note
        if not filled or follower.entering or follower.node in self.member_nodes:
            return False
        if follower.awaited is None:
            follower.awaited = confirmed_note
        return follower.synced_note >= follower.awaited

    def marks(self) -> tuple[int, int]:
        """The highest note that every required mirror has received, and has synced; -1 if nobody is required."""
        received = synced = -1
        if not (self.followers or self.member_nodes):
            return received, synced
        for node in self.required():
            follower = self.followers.get(node)
            if follower is None or not follower.joined or follower.refused:
                return 0, 0
            received = follower.received_note if received < 0 else min(received, follower.received_note)
            synced = follower.synced_note if synced < 0 else min(synced, follower.synced_note)
        return received, synced

    def wait(self, note: int, lsn: int, synced: bool, effect: Effect) -> None:
        """Remember that `note` must be safe before `effect` holds; `lsn` 0 if the own disk does not matter."""
        self.waiting.append((note, lsn, synced, effect))

    def reached(self, journal_synced: int) -> bool:
        """Whether the own disk keeps nothing waiting that is next; else `safe` has no news."""
        return not self.waiting or self.waiting[0][1] <= journal_synced

    def safe(self, journal_synced: int) -> list[Wait]:
        """Drain the notes that have become safe, in order."""
        waiting = self.waiting
        if not waiting:
            return []
        received, synced = self.marks()
        done: list[Wait] = []
        while waiting:
            note, lsn, must_sync, _ = waiting[0]
            if lsn > journal_synced:
                break
            mark = synced if must_sync else received
            if mark != -1 and mark < note:
                break
            done.append(waiting.popleft())
        return done
