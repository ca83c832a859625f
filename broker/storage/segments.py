"""One file of the journal, and what it has of each queue, as far as counting goes.

Decides what has to be known of a segment to tell when it may go: how many living messages it holds, what its dead and
its settles are about, and who reads in it. It must not know the file itself; the journal writes that.
"""

from broker.storage.digest import Digest
from broker.storage.places import Places
from broker.storage.ranges import Ranges

FOLDER = "journal"


class Chapter:
    """What one segment has of one queue. What stands in the segment's footer is None here."""

    __slots__ = ("digest", "places", "published", "segment", "settled")

    def __init__(self, segment: "Segment") -> None:
        self.segment = segment
        self.places: Places | None = None if segment.summed_up else Places()
        self.digest: Digest | None = None if segment.summed_up else Digest()
        self.clear()

    def clear(self) -> None:
        """The queue was dropped: what its records here say is void."""
        self.published = Ranges()
        self.settled = Ranges()  # what the settle records here kill


class Segment:
    """`number` grows with time; a closed segment gets no more records."""

    __slots__ = (
        "chapters",
        "closed",
        "damaged",
        "drops",
        "fill",
        "index_at",
        "living",
        "living_bytes",
        "number",
        "pins",
        "size_bytes",
        "sound_from",
        "summed_up",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.fill = 0  # where the next record goes: what waits to be written is counted
        self.size_bytes = 0  # of the file
        self.sound_from = 0  # behind the last damage in it
        self.closed = False
        self.summed_up = False  # whether it has a footer
        self.index_at = 0  # where in it the footer's index stands
        self.damaged = False
        self.living = 0  # messages whose newest copy is here, and that may be needed
        self.living_bytes = 0  # what they take up, about: of a record partly dead its share
        self.pins = 0  # readings that want the file, whatever becomes of the messages meanwhile
        self.chapters: dict[int, Chapter] = {}  # by queue id
        self.drops: set[int] = set()  # the queue ids of the drop records here

    @property
    def name(self) -> str:
        """The file below the node's folder."""
        return f"{FOLDER}/{self.number:016d}"

    def chapter(self, queue_id: int) -> Chapter:
        """The queue's chapter, begun now if there is none."""
        chapter = self.chapters.get(queue_id)
        if chapter is None:
            chapter = self.chapters[queue_id] = Chapter(self)
        return chapter

    def __repr__(self) -> str:
        return f"<Segment {self.number}: {self.living} living, {self.living_bytes} of {self.fill} bytes>"
