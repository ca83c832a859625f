"""What a cluster has kept of a drill in recovery files, instead of in its queues.

Decides which messages of a drill count as set aside, and that its files are removed once they were counted. It must not
know why anything was.
"""

import base64
from typing import Any, Protocol

from broker.perf.crew import BODY

SHOWN_MAX = 500
"""So many messages are asked for at a time."""


class Asked(Protocol):
    """Whoever asks a cluster."""

    async def ask_any(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer of some node that runs. Raises Helpless."""


async def count_set_aside(control: Asked, prefix: str) -> set[tuple[int, int]]:
    """(stream, number) of everything in recovery files of queues with this prefix; the files go. Raises Helpless."""
    found: set[tuple[int, int]] = set()
    for row in (await control.ask_any({"do": "recovered_list"})).get("files", ()):
        if not row["queue"].startswith(prefix):
            continue
        seen, remaining = 0, 1
        while remaining:
            asked = {"do": "recovered_show", "file": row["file"], "after": seen, "count": SHOWN_MAX}
            answer = await control.ask_any(asked)
            found |= {_number_of(message) for message in answer["messages"]}
            seen, remaining = seen + len(answer["messages"]), answer["remaining"]
        await control.ask_any({"do": "recovered_drop", "file": row["file"]})
    return found


def _number_of(message: dict[str, Any]) -> tuple[int, int]:
    text: str = message["body"]
    body = base64.b64decode(text) if message["encoding"] == "base64" else text.encode()
    identity, number = BODY.unpack(body[-BODY.size :])
    return identity, number
