"""How long a channel's oldest delivery has been out without an answer, at no cost per delivery.

Decides whether it has been too long (RabbitMQ's consumer_timeout). It must not know what follows from that. At each
look the tag is noted that comes next: whatever is below the note of an old look has been out since then at least.
"""


class Patience:
    """Of one channel; looks come now and then, `now` and timeouts are in seconds."""

    __slots__ = ("_notes",)

    def __init__(self) -> None:
        self._notes: list[tuple[float, int]] = []

    def is_over(self, now: float, timeout_s: float, oldest_tag: int | None, next_tag: int) -> bool:
        """Whether the oldest unanswered delivery (None: there is none) was already out `timeout_s` ago."""
        notes = self._notes
        if oldest_tag is None:
            notes.clear()
            return False
        since = now - timeout_s
        while len(notes) > 1 and notes[1][0] <= since:
            del notes[0]
        if notes and notes[0][0] <= since and oldest_tag < notes[0][1]:
            return True
        if not notes or notes[-1][1] != next_tag:
            notes.append((now, next_tag))
        return False
