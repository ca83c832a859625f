"""Who wants to hear of which change in the tree.

Decides whom a change concerns: those who watch its path, and those who watch a subtree that holds it. It must not know
what a change means. Callbacks run after the whole transaction was applied, in the order of the changes, and for each
change in the order in which the watches were set.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["created", "changed", "deleted", "event"]

EVENTS = "/events"
"""The path of changes of kind `event`: no znode stands there, but it can be watched."""


@dataclass(slots=True)
class Change:
    """One effect of a transaction: the data before and after (None: no znode; an event's JSON is in `new`)."""

    kind: Kind
    path: str
    old: bytes | None
    new: bytes | None


Callback = Callable[[Change], None]


class Watch:
    """One interest, until `cancel`."""

    __slots__ = ("_registry", "callback", "number", "path")

    def __init__(self, registry: dict[str, dict[int, "Watch"]], number: int, path: str, callback: Callback) -> None:
        self._registry = registry
        self.number = number
        self.path = path
        self.callback = callback

    def cancel(self) -> None:
        """Hear no more, also of changes of the transaction that is just being told. Harmless if repeated."""
        there = self._registry.get(self.path)
        if there is not None and there.pop(self.number, None) is not None and not there:
            del self._registry[self.path]

    @property
    def is_set(self) -> bool:
        """Whether it still hears."""
        return self.number in self._registry.get(self.path, {})


class Watches:
    """All interests in one tree."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[int, Watch]] = {}
        self._subtree: dict[str, dict[int, Watch]] = {}
        self._next = 0

    def add(self, path: str, callback: Callback, *, subtree: bool = False) -> Watch:
        """Hear of changes of this znode; with `subtree` also of everything below it."""
        registry = self._subtree if subtree else self._exact
        self._next += 1
        watch = Watch(registry, self._next, path, callback)
        registry.setdefault(path, {})[watch.number] = watch
        return watch

    def tell(self, changes: Iterable[Change]) -> None:
        """Call whoever is concerned."""
        if not self._exact and not self._subtree:
            return
        for change in changes:
            concerned = dict(self._exact.get(change.path, {}))
            for path in above(change.path):
                concerned.update(self._subtree.get(path, {}))
            for number in sorted(concerned):
                if concerned[number].is_set:
                    concerned[number].callback(change)


def above(path: str) -> Iterator[str]:
    """The path itself and every path that contains it, up to `/`."""
    while path != "/":
        yield path
        path = path.rpartition("/")[0] or "/"
    yield path
