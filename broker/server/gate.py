"""Whether publishers may go on: closed while something they depend on is full, so that nothing grows without limit.

Decides who waits and what they are told. It must not know what is full: whoever knows closes the gate under a key of
its own, with a reason that clients may read ("disk", "memory") or none for a short wait that needs no words, and opens
it again. Consumers are never stopped; nor are acknowledgements, unless they come behind a publish on one connection.
"""

from collections.abc import Callable, Hashable

import trio


class Gate:
    """One for all publishers of a node. `on_change` is called when the words for clients have changed."""

    def __init__(self) -> None:
        self.is_open = True
        self.on_change: Callable[[], None] = lambda: None
        self._closers: dict[Hashable, str] = {}
        self._opened = trio.Event()

    @property
    def words(self) -> str:
        """Why publishers wait, as RabbitMQ says it: `low on disk`; empty if there is nothing to say."""
        reasons = sorted({reason for reason in self._closers.values() if reason})
        return f"low on {' & '.join(reasons)}" if reasons else ""

    def close(self, key: Hashable, reason: str = "") -> None:
        """Publishers wait from now on, at least until this key opens."""
        before = self.words
        self._closers[key] = reason
        self.is_open = False
        if self.words != before:
            self.on_change()

    def open(self, key: Hashable) -> None:
        """This key has nothing against publishing any more."""
        before = self.words
        self._closers.pop(key, None)
        self.is_open = not self._closers
        if self.is_open:
            self._opened.set()
            self._opened = trio.Event()
        if self.words != before:
            self.on_change()

    async def passage(self) -> None:
        """Return once the gate is open."""
        while not self.is_open:
            await self._opened.wait()
