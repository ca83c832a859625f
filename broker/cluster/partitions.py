"""When some cannot be heard: who is enough to go on.

Decides the quorum: more than half of the members, by name and folder, in every list of members that is in force (the
last committed one and any later one in the log); or, as `partition_handling` wants it, all of a view. It must not know
who is heard or how.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.cluster.entries import Roll

AUTO, PAUSE_MINORITY, IGNORE, AUTOHEAL, PAUSE_IF_ALL_DOWN = (
    "auto",
    "pause_minority",
    "ignore",
    "autoheal",
    "pause_if_all_down",
)
LOST = "-"
"""In place of a folder: the one that is meant cannot be present any more."""


@dataclass(frozen=True, slots=True)
class QuorumRule:
    """`partition_handling` of the configuration; `nodes` are those of `pause_if_all_down`."""

    mode: str = AUTO
    nodes: tuple[str, ...] = ()

    def wants_view(self, members: Collection[str]) -> bool:
        """Whether all who are in sight decide, and not a majority. `auto` does it only for two, of whom one is none."""
        return len(members) == 2 if self.mode == AUTO else self.mode != PAUSE_MINORITY

    def allows(self, view: Collection[str], members: Collection[str]) -> bool:
        """Whether these may go on, as far as `pause_if_all_down` has a say."""
        listed = set(self.nodes) & set(members) if self.mode == PAUSE_IF_ALL_DOWN else set()
        return not listed or bool(listed & set(view))


MAJORITY = QuorumRule(PAUSE_MINORITY)


@dataclass(frozen=True, slots=True)
class Parted:
    """Somebody lives in another history: whom he follows, in which epoch and view, and when he was last heard."""

    leader: str
    epoch: int
    view: tuple[str, ...]
    seen_at: float


class Electorate:
    """Those who are asked, in groups of name -> folder id: a majority of every list of members in force, and all of
    every view."""

    def __init__(self, lists: Sequence[Mapping[str, str]], views: Sequence[Mapping[str, str]] = ()) -> None:
        self._lists = lists
        self._views = views

    @classmethod
    def of(cls, rolls: "Sequence[Roll]", lives: Mapping[str, int] | None = None) -> "Electorate":
        """Those of these rolls. Who is in a view with another life than the one in `lives` is missing in it."""
        lists = [roll.members for roll in rolls if roll.view is None]
        views = [
            {
                name: roll.members.get(name, LOST) if lives is None or lives.get(name) == life else LOST
                for name, life in roll.view.items()
            }
            for roll in rolls
            if roll.view is not None
        ]
        return cls(lists, views)

    @property
    def names(self) -> set[str]:
        """Everyone who is named in a group."""
        return {name for group in (*self._lists, *self._views) for name in group}

    def includes(self, name: str, folder: str) -> bool:
        """Whether this member, with the memory in this folder, has a vote."""
        return any(group.get(name) == folder for group in (*self._lists, *self._views))

    def enough(self, present: Mapping[str, str]) -> bool:
        """Whether those present (name -> folder) are a quorum."""
        return (
            bool(self._lists or self._views)
            and all(_count(group, present) * 2 > len(group) for group in self._lists)
            and all(_count(group, present) == len(group) for group in self._views)
        )

    def agreed(self, marks: Mapping[str, int], folders: Mapping[str, str]) -> int:
        """The highest mark that a quorum has reached, given how far each has got; 0 without a quorum."""
        reached = [_reached(group, marks, folders, len(group) // 2) for group in self._lists]
        reached += [_reached(group, marks, folders, len(group) - 1) for group in self._views]
        return min(reached, default=0)


def _count(group: Mapping[str, str], present: Mapping[str, str]) -> int:
    return sum(present.get(name) == folder for name, folder in group.items())


def _reached(group: Mapping[str, str], marks: Mapping[str, int], folders: Mapping[str, str], place: int) -> int:
    reached = sorted(
        (marks.get(name, 0) if folders.get(name) == folder else 0 for name, folder in group.items()), reverse=True
    )
    return reached[place] if reached else 0
