"""Messages of a line whose contents are not in memory, and what a line must know of them all the same.

Decides what is remembered of a run once its bytes were forgotten, and how such pieces are cut and joined: a line of
millions of small messages is a few thousand pages, however small the runs were. It must not know where the contents
lie: whoever keeps them finds them by position.
"""

from typing import TYPE_CHECKING, overload

from broker.wire.content import bodies_size_of, body_size
from broker.wire.message import Run, Traits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE_MESSAGES_MAX = 4096
PAGE_BYTES_MAX = 256 * 1024
"""Neighbours are joined up to so much: a page is what one load brings at least."""
MESSAGE_BYTES = 96
"""What a message in memory takes beside its body, about: its frames, its object, its place in a list."""


class Page:
    """Messages at consecutive positions that are in memory no more; never changed but for its two flags.

    `body_bytes` is the sum of all bodies: exact as a whole, and shared out evenly when the page is cut. `expires`: they
    have a time to live. `persistent`, `priority`, `redelivered` and `returned` are as in a run and its traits.
    """

    __slots__ = ("body_bytes", "count", "expires", "first", "persistent", "priority", "redelivered", "returned")

    def __init__(
        self,
        first: int,
        count: int,
        body_bytes: int,
        *,
        priority: int = 0,
        expires: bool = False,
        persistent: bool = False,
        redelivered: bool = False,
        returned: int = 0,
    ) -> None:
        self.first = first
        self.count = count
        self.body_bytes = body_bytes
        self.priority = priority
        self.expires = expires
        self.persistent = persistent
        self.redelivered = redelivered
        self.returned = returned

    @classmethod
    def of(cls, run: Run, body_bytes: int | None = None) -> "Page":
        """What remains of this run; its bodies are measured unless it is said what they come to."""
        return cls(
            run.first,
            run.count,
            bytes_of(run) if body_bytes is None else body_bytes,
            priority=run.traits.priority,
            expires=run.traits.expiration_ms is not None,
            persistent=run.traits.persistent,
            redelivered=run.redelivered,
            returned=run.returned,
        )

    @property
    def last(self) -> int:
        """The position of the last message."""
        return self.first + self.count - 1

    @property
    def weight_bytes(self) -> int:
        """About what its messages would take in memory."""
        return self.body_bytes + self.count * MESSAGE_BYTES

    def share(self, count: int) -> int:
        """The part of the bodies that its first `count` messages are taken to have."""
        return self.body_bytes * count // self.count

    def count_of(self, body_bytes: int) -> int:
        """How many of its first messages are taken to have bodies of so much together; all, if they have less."""
        if body_bytes >= self.body_bytes:
            return self.count
        return -(-body_bytes * self.count // self.body_bytes)

    def cut(self, start: int, stop: int) -> "Page":
        """The messages with index start up to, not including, stop, as a page of their own."""
        return self._with(self.first + start, stop - start, self.share(stop) - self.share(start))

    def has_room(self, count: int, body_bytes: int) -> bool:
        """Whether so much more may be joined to it."""
        return self.count + count <= PAGE_MESSAGES_MAX and self.body_bytes + body_bytes <= PAGE_BYTES_MAX

    def joined(self, other: "Page") -> "Page | None":
        """Both as one page, if the other one follows at once, is of the same kind, and they are not too much."""
        if (
            self.first + self.count != other.first
            or not self.has_room(other.count, other.body_bytes)
            or self.persistent != other.persistent
            or self.priority != other.priority
            or self.expires != other.expires
            or self.redelivered != other.redelivered
            or self.returned != other.returned
        ):
            return None
        return self._with(self.first, self.count + other.count, self.body_bytes + other.body_bytes)

    def filled(self, runs: "Iterable[Run]") -> "Iterator[Piece]":
        """The page with what these runs, in order, have of it in its place; its flags count beside theirs."""
        at = self.first
        parts: list[Piece] = []
        missing = self.count
        for run in runs:
            first, last = max(at, run.first), min(self.last, run.last)
            if first > last:
                continue
            if at < first:
                parts.append(self._with(at, first - at, 0))
            loaded = part(run, first, last)
            if loaded.redelivered != self.redelivered or loaded.returned != self.returned:
                loaded = loaded.cut(0, loaded.count)  # it may be somebody else's, too
                loaded.redelivered = loaded.redelivered or self.redelivered
                loaded.returned = max(loaded.returned, self.returned)
            parts.append(loaded)
            missing -= loaded.count
            at = last + 1
        if at <= self.last:
            parts.append(self._with(at, self.last + 1 - at, 0))
        if not missing:
            yield from parts
            return
        body_bytes = self.body_bytes - sum(bytes_of(piece) for piece in parts if isinstance(piece, Run))
        rest = self._with(self.first, missing, max(0, body_bytes))  # the whole was exact: so is what is left of it
        done = 0
        for piece in parts:
            if isinstance(piece, Page):
                piece.body_bytes = rest.share(done + piece.count) - rest.share(done)
                done += piece.count
            yield piece

    def _with(self, first: int, count: int, body_bytes: int) -> "Page":
        return Page(
            first,
            count,
            body_bytes,
            priority=self.priority,
            expires=self.expires,
            persistent=self.persistent,
            redelivered=self.redelivered,
            returned=self.returned,
        )

    def __repr__(self) -> str:
        flag = " redelivered" if self.redelivered else ""
        return f"<Page {self.first}..{self.last} {self.body_bytes} bytes{flag}>"


Piece = Run | Page
"""Some messages at consecutive positions, in memory or not."""


@overload
def part(piece: Run, first: int, last: int) -> Run: ...
@overload
def part(piece: Page, first: int, last: int) -> Page: ...
@overload
def part(piece: Piece, first: int, last: int) -> Piece: ...
def part(piece: Piece, first: int, last: int) -> Piece:
    """The messages of these positions, all of which are in the piece."""
    if first == piece.first and last == piece.last:
        return piece
    return piece.cut(first - piece.first, last - piece.first + 1)


def bytes_of(piece: Piece) -> int:
    """Bytes of the bodies of a piece."""
    return piece.body_bytes if isinstance(piece, Page) else sum(map(body_size, piece.contents))


def joined(pieces: "Iterable[Piece]") -> list[Piece]:
    """The same pieces, in order, with neighbouring pages joined where that is possible."""
    found: list[Piece] = []
    for piece in pieces:
        before = found[-1] if found else None
        both = before.joined(piece) if isinstance(before, Page) and isinstance(piece, Page) else None
        if both is None:
            found.append(piece)
        else:
            found[-1] = both
    return found


def paged(runs: "Iterable[Run]", exact_upto: int) -> list[Page]:
    """What remains of these runs, in order, if their contents are forgotten; they are measured exactly as far as up to
    this position."""
    pages: list[Page] = []
    page: Page | None = None
    traits: Traits | None = None
    for run in runs:
        size = bytes_of(run) if run.last <= exact_upto else bodies_size_of(run)
        if (
            page is not None
            and run.traits is traits
            and run.first == page.first + page.count
            and run.redelivered == page.redelivered
            and run.returned == page.returned
            and page.has_room(run.count, size)
        ):
            page.count += run.count  # nobody else has it yet
            page.body_bytes += size
        else:
            traits = run.traits
            page = Page.of(run, size)
            pages.append(page)
    return pages
