"""When some cannot be heard: who is enough to go on.

Decides the quorum rule `pause_minority`: more than half of the members, by name and folder, in every list of members
that is in force (the last committed one and any later one in the log). It must not know who is heard or how.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

AUTO, PAUSE_MINORITY, IGNORE, AUTOHEAL, PAUSE_IF_ALL_DOWN = (
    "auto",
    "pause_minority",
    "ignore",
    "autoheal",
    "pause_if_all_down",
)


@dataclass(frozen=True, slots=True)
class QuorumRule:
    """`partition_handling` of the configuration; `nodes` are those of `pause_if_all_down`."""

    mode: str = AUTO
    nodes: tuple[str, ...] = ()

    def wants_view(self, members: Collection[str]) -> bool:
        """Whether all who are in sight decide, and not a majority. `auto` does it only for two, of whom one is none."""
        return len(members) == 2 if self.mode == AUTO else self.mode != PAUSE_MINORITY


@dataclass(frozen=True, slots=True)
class Parted:
    """Somebody lives in another history: whom he follows, in which epoch and view, and when he was last heard."""

    leader: str
    epoch: int
    view: tuple[str, ...]
    seen_at: float


class Electorate:
    """The lists of members in force, each name -> folder id; a majority of every one of them is a quorum."""

    def __init__(self, rolls: Sequence[Mapping[str, str]]) -> None:
        self._rolls = rolls

    @property
    def names(self) -> set[str]:
        """Everyone who is named in a list in force."""
        return {name for roll in self._rolls for name in roll}

    def includes(self, name: str, folder: str) -> bool:
        """Whether this member, with the memory in this folder, has a vote."""
        return any(roll.get(name) == folder for roll in self._rolls)

    def majority(self, present: Mapping[str, str]) -> bool:
        """Whether those present (name -> folder) are a quorum."""
        return bool(self._rolls) and all(
            2 * sum(present.get(name) == folder for name, folder in roll.items()) > len(roll) for roll in self._rolls
        )

    def agreed(self, marks: Mapping[str, int], folders: Mapping[str, str]) -> int:
        """The highest mark that a quorum has reached, given how far each has got; 0 without a quorum."""
        return min((_median(roll, marks, folders) for roll in self._rolls), default=0)


def _median(roll: Mapping[str, str], marks: Mapping[str, int], folders: Mapping[str, str]) -> int:
    reached = sorted(
        (marks.get(name, 0) if folders.get(name) == folder else 0 for name, folder in roll.items()), reverse=True
    )
    return reached[len(roll) // 2] if reached else 0
