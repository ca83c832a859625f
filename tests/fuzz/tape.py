"""Bytes read as decisions: whoever makes the bytes (hypothesis, a coverage-guided fuzzer) makes the choices.

At the end of the tape every decision is the first one, so short tapes mean simple stories.
"""

from typing import Any, TypeVar

T = TypeVar("T")

NUMBERS = (0, 1, 2, 3, 7, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


class Tape:
    """A sequence of decisions."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._data)

    def number(self, stop: int) -> int:
        """0 up to, not including, stop (at most 256)."""
        if self.at_end:
            return 0
        self._at += 1
        return self._data[self._at - 1] % stop

    def chance(self, one_in: int) -> bool:
        return self.number(one_in) == one_in - 1

    def pick(self, choices: "list[T] | tuple[T, ...]") -> T:
        return choices[self.number(len(choices))]

    def raw(self, size_max: int) -> bytes:
        size = self.number(size_max + 1)
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def value(self, depth: int = 0) -> Any:
        """A field value of a table."""
        kind = self.number(9 if depth < 3 else 7)
        if kind == 0:
            return self.pick(NUMBERS) % 2**31
        if kind == 1:
            return -self.pick(NUMBERS) % 2**31
        if kind == 2:
            return self.pick(("", "q", "all", "any-with-x", "topic", "reject-publish", "quorum", "classic", "stream"))
        if kind == 3:
            return self.chance(2)
        if kind == 4:
            return None
        if kind == 5:
            return self.raw(8)
        if kind == 6:
            return self.number(256) / 7
        return [self.value(depth + 1)] if kind == 7 else {self.pick(("a", "x-match", "CC")): self.value(depth + 1)}
