"""Messages that were confirmed once and that their queue has lost to a promotion: kept for people (DESIGN rule S5).

Decides where they are written and how they look: one JSON object a line, as `warren get` shows messages. It must not
know why they were lost.
"""

import json
import logging
from typing import TYPE_CHECKING
from urllib.parse import quote

from broker.vhosts.by_hand import shown

if TYPE_CHECKING:
    from broker.cluster.records import QueueRecord
    from broker.node.timeline import Timeline
    from broker.wire.message import Run
    from broker.world.clock import Clock
    from broker.world.disk import Disk

log = logging.getLogger("warren.node")

FOLDER = "set-aside"


class SetAside:
    """The recovery files of one node."""

    def __init__(self, disk: "Disk", clock: "Clock", timeline: "Timeline") -> None:
        self._disk = disk
        self._clock = clock
        self._timeline = timeline
        self._last_stamp_ms = 0

    async def keep(self, record: "QueueRecord", runs: "list[Run]") -> None:
        """Write these messages to a file of their own, and say so."""
        messages = [message for run in runs for message in shown(run)]
        # two in one millisecond are two files
        self._last_stamp_ms = stamp_ms = max(self._last_stamp_ms + 1, self._clock.stamp_ms())
        name = f"{FOLDER}/{quote(record.vhost, safe='')}-{quote(record.name, safe='')}-{stamp_ms}.jsonl"
        path = self._disk.path_of(name)
        try:
            await self._disk.replace(name, b"".join(json.dumps(message).encode() + b"\n" for message in messages))
        except OSError as error:
            text = (
                f"queue {record.name}: {len(messages)} messages that its master does not have cannot be kept: {error}"
            )
            log.error("event=not_set_aside queue=%s file=%s why=%r", record.name, path, error.strerror)
            self._timeline.tell("set_aside", text, vhost=record.vhost, queue=record.name, messages=0)
            return
        text = f"queue {record.name}: {len(messages)} messages that its master does not have are kept in {path}"
        self._timeline.tell("set_aside", text, vhost=record.vhost, queue=record.name, messages=len(messages), file=path)
