"""A member's view of its own log: what it holds, where two logs part, who the members are.

Decides how two histories are compared: epoch by epoch, never by the last zxid alone (ZOOKEEPER-2832). An epoch has
one leader, so within one epoch the shorter log is a prefix of the longer. It must not know who leads, nor the disk.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from broker.cluster.entries import (
    MARKER,
    TRANSACTION,
    DurableState,
    Entry,
    Roll,
    Snapshot,
    Views,
    counter_of,
    epoch_of,
)

EPOCHS_KEPT_MAX = 256
"""A snapshot remembers where so many epochs ended; who is further behind gets a snapshot instead of the difference."""


class History:
    """Snapshot position and the entries above it, in memory."""

    def __init__(self, durable: DurableState) -> None:
        self.entries: list[Entry] = []
        self.base_zxid = 0
        self.epochs: list[tuple[int, int]] = []
        self.views: Views = {}
        self._rolls: list[tuple[int, Roll]] = []
        if durable.snapshot:
            self._start_from(durable.snapshot)
        for entry in durable.entries:
            self.append(entry)

    @property
    def blank(self) -> bool:
        """Nothing was ever written here."""
        return not self.epochs

    @property
    def last_zxid(self) -> int:
        """Of the last entry, or of the snapshot if there is none above it; 0 if blank."""
        return self.epochs[-1][1] if self.epochs else 0

    @property
    def last_epoch(self) -> int:
        """Epoch of the last marker (ZAB's currentEpoch)."""
        return self.epochs[-1][0] if self.epochs else 0

    @property
    def cluster(self) -> str:
        """Id of the cluster whose history this is; empty if blank."""
        return self._rolls[-1][1].cluster if self._rolls else ""

    @property
    def members(self) -> dict[str, str]:
        """The latest list of members in the log, committed or not; empty if blank."""
        return self._rolls[-1][1].members if self._rolls else {}

    @property
    def roll(self) -> Roll:
        """The latest in the log, committed or not; the log must not be blank."""
        return self._rolls[-1][1]

    def roll_at(self, zxid: int) -> Roll | None:
        """What held after `zxid`; None before the first."""
        found = bisect_right(self._rolls, zxid, key=lambda roll: roll[0])
        return self._rolls[found - 1][1] if found else None

    def rolls_in_force(self, committed: int) -> list[Roll]:
        """The last committed roll and every later one: each is asked. But a view takes the place of whatever was before
        its epoch: what its members needed of the earlier ones they had when they promised it."""
        if self._rolls and self._rolls[-1][0] <= committed:
            return [self._rolls[-1][1]]
        first = max(bisect_right(self._rolls, committed, key=lambda roll: roll[0]) - 1, 0)
        rolls: list[Roll] = []
        for zxid, roll in self._rolls[first:]:
            if counter_of(zxid) == 0 and roll.view is not None:
                rolls.clear()
            if not rolls or (rolls[-1].members, rolls[-1].view) != (roll.members, roll.view):
                rolls.append(roll)
        return rolls

    def first_above(self, zxid: int) -> list[tuple[int, list[Roll]]]:
        """Of what is above `zxid`, in each part with rolls of its own: its first zxid, and the rolls that were asked
        for it."""
        at = bisect_right(self._rolls, zxid, key=lambda roll: roll[0]) - 1
        held = self._rolls[at][1] if at >= 0 else None
        found: list[tuple[int, list[Roll]]] = []
        later = self._rolls[at + 1 :]
        if held is not None and zxid and self.contains(zxid + 1) and not (later and later[0][0] == zxid + 1):
            found.append((zxid + 1, [held]))
        for first, roll in later:
            anew = held is None or (counter_of(first) == 0 and roll.view is not None)
            found.append((first, [roll] if anew or held is None else [held, roll]))
            held = roll
        return found

    def contains(self, zxid: int) -> bool:
        """Whether the log has this entry, or has it below its snapshot; 0 stands for the beginning."""
        if zxid == 0:
            return True
        return any(epoch == epoch_of(zxid) and zxid <= last for epoch, last in self.epochs)

    def common_point(self, epochs: Sequence[tuple[int, int]]) -> int:
        """The last zxid that this log and one with these (epoch, last zxid) share; 0 if none is known."""
        mine = dict(self.epochs)
        for epoch, last in reversed(epochs):
            if epoch in mine:
                return min(last, mine[epoch])
        return 0

    def after(self, zxid: int, upto: int | None = None) -> list[Entry]:
        """The entries above `zxid` (which must not be below the snapshot), up to and including `upto`."""
        first = bisect_right(self.entries, zxid, key=lambda entry: entry.zxid)
        stop = len(self.entries) if upto is None else bisect_right(self.entries, upto, key=lambda entry: entry.zxid)
        return self.entries[first:stop]

    def append(self, entry: Entry) -> None:
        """Add one entry behind the last."""
        self.entries.append(entry)
        epoch = epoch_of(entry.zxid)
        if entry.kind != TRANSACTION:
            roll = Roll.decode(entry.payload)
            self._rolls.append((entry.zxid, roll))
            if entry.kind == MARKER and roll.view is not None:
                self.views[epoch] = tuple(sorted(roll.view))
        if self.epochs and self.epochs[-1][0] == epoch:
            self.epochs[-1] = (epoch, entry.zxid)
        else:
            self.epochs.append((epoch, entry.zxid))

    def truncate(self, zxid: int) -> None:
        """Forget what is above `zxid`, which must be in the log and not below the snapshot."""
        assert zxid >= self.base_zxid
        del self.entries[bisect_right(self.entries, zxid, key=lambda entry: entry.zxid) :]
        self.epochs = _epochs_upto(self.epochs, zxid)
        while self._rolls and self._rolls[-1][0] > zxid:
            self._rolls.pop()
        self._forget_views()

    def install(self, snapshot: Snapshot) -> None:
        """Become what the snapshot says."""
        self.entries.clear()
        self._start_from(snapshot)

    def snapshot_at(self, zxid: int, state: bytes) -> Snapshot:
        """The snapshot record for the state after the committed `zxid`."""
        first = max(bisect_right(self._rolls, zxid, key=lambda roll: roll[0]) - 1, 0)
        epochs = _epochs_upto(self.epochs, zxid)[-EPOCHS_KEPT_MAX:]
        views = {epoch: self.views[epoch] for epoch, _ in epochs if epoch in self.views}
        return Snapshot(zxid, tuple(epochs), self._rolls[first][1], state, views)

    def compact(self, snapshot: Snapshot) -> None:
        """Drop the entries that the snapshot covers."""
        self.entries = self.after(snapshot.zxid)
        self.base_zxid = snapshot.zxid
        self.epochs = self.epochs[-EPOCHS_KEPT_MAX:]
        kept = [roll for roll in self._rolls if roll[0] > snapshot.zxid]
        self._rolls = [(snapshot.zxid, snapshot.roll), *kept]
        self._forget_views()

    def _start_from(self, snapshot: Snapshot) -> None:
        self.base_zxid = snapshot.zxid
        self.epochs = list(snapshot.epochs)
        self._rolls = [(snapshot.zxid, snapshot.roll)]
        self.views = dict(snapshot.views)

    def _forget_views(self) -> None:
        self.views = {epoch: self.views[epoch] for epoch, _ in self.epochs if epoch in self.views}


def _epochs_upto(epochs: Iterable[tuple[int, int]], zxid: int) -> list[tuple[int, int]]:
    # An epoch begins with its marker, counter 0: it is cut, not dropped, if it began at or below the zxid.
    return [(epoch, min(last, zxid)) for epoch, last in epochs if epoch <= epoch_of(zxid)]


def marker(zxid: int, roll: Roll) -> Entry:
    """The first entry of an epoch."""
    return Entry(zxid, MARKER, roll.encode())
