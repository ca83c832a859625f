"""Two histories, one's own and what a Status tells of another: the same one, or two.

Decides what may be given up: the end of the own log that the other lacks, if it is certain that it was never committed.
It is certain once so many of those who were asked for it lack it for good that the others are no quorum. Who holds a
committed marker of the other history lacks it, and so does who says so and has promised a later epoch. Otherwise there
are two histories, which only a partition (or an operator's force) makes. It must not know what follows from that.
"""

from collections.abc import Iterable, Mapping, Sequence

from broker.cluster.entries import Roll, epoch_of, zxid_of
from broker.cluster.history import History
from broker.cluster.messages import LOOKING, Status
from broker.cluster.partitions import Electorate

EPOCHS_TOLD_MAX = 32
"""Whoever has nothing in common with the last so many epochs is taken for one of another history."""

Told = Sequence[tuple[int, int, list[str]]]


def told(history: History) -> list[tuple[int, int, list[str]]]:
    """The newest epochs of a history, as a Status tells them."""
    return [(epoch, last, list(history.views.get(epoch, ()))) for epoch, last in history.epochs[-EPOCHS_TOLD_MAX:]]


def holds(epochs: Told, zxid: int) -> bool:
    """Whether a history told like this has the entry; 0 stands for the beginning."""
    return zxid == 0 or any(epoch == epoch_of(zxid) and zxid <= last for epoch, last, _ in epochs)


def may_have_begun(epochs: Told, epoch: int) -> bool:
    """Whether such a history has this epoch, as far as it is told."""
    if any(epoch == each for each, _, _ in epochs):
        return True
    return len(epochs) >= EPOCHS_TOLD_MAX and epoch < epochs[0][0]


def continues(history: History, committed: int, other: Status, heard: Mapping[str, Status], me: str) -> bool:
    """Whether the other history has all that may be committed in this one. `heard`: what the others say, by name, of
    whom the one with the other history is one."""
    if history.blank or holds(other.epochs, history.last_zxid):
        return True
    common = history.common_point([(epoch, last) for epoch, last, _ in other.epochs])
    if common < committed or (common == 0 and len(other.epochs) >= EPOCHS_TOLD_MAX):
        return False
    for first, rolls in history.first_above(common):
        lacking = {name for name in _lacking(first, other, heard) if name != me}
        lacking |= {
            name
            for epoch, _, view in other.epochs
            if common < zxid_of(epoch, 0) <= other.committed
            for name in view
            if name != me
        }
        if _may_be_committed(rolls, lacking, other, heard):
            return False
    return True


def _lacking(first: int, other: Status, heard: Mapping[str, Status]) -> Iterable[str]:
    """Who has not got that entry, and will not get it any more: for a promise made or about to be made."""
    for name, status in heard.items():
        promises = status.accepted_epoch > epoch_of(first) or (
            status.state == LOOKING
            and (other.state == LOOKING or (not other.established and name in (other.view or ())))
        )
        if promises and not holds(status.epochs, first):
            yield name


def _may_be_committed(rolls: Sequence[Roll], lacking: set[str], other: Status, heard: Mapping[str, Status]) -> bool:
    for roll in rolls:
        # Who has another folder now than then has lost its memory: what it lacks says nothing.
        now = {name: heard[name].folder if name in heard else other.members.get(name, "") for name in lacking}
        present = {name: folder for name, folder in roll.members.items() if now.get(name) != folder}
        if not Electorate.of([roll]).enough(present):
            return False
    return True
