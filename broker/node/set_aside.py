"""Recovery files: messages that may have been confirmed and that their queue does not have any more (DESIGN S5, S9).

Decides where they are written and how much one file holds, and finds them again. It must not know why a queue lost
them, nor what becomes of them.
"""

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from broker.node import recovery_line
from broker.node.recovery_line import NotALine

if TYPE_CHECKING:
    from collections.abc import Collection

    from broker.node.healing import Healing
    from broker.node.timeline import Timeline
    from broker.vhosts.aside import Loss
    from broker.wire.message import Run
    from broker.world.clock import Clock
    from broker.world.disk import Disk

log = logging.getLogger("warren.node")

FOLDER = "set-aside"
FILE_BYTES_MAX = 16 * 1024 * 1024
"""A file ends with the message that exceeds this."""
LABEL_MAX = 60


class SetAside:
    """The recovery files of one node."""

    def __init__(self, node: str, disk: "Disk", clock: "Clock", timeline: "Timeline", healing: "Healing") -> None:
        self._node = node
        self._disk = disk
        self._clock = clock
        self._timeline = timeline
        self._healing = healing
        self._last_stamp_ms = 0
        self._is_refused = False
        self._known: dict[str, dict[str, Any]] = {}
        """By name what is said of a file, which takes reading it."""

    # ------------------------------------------------------------------ what copies give up

    def lost_queue(self, queue_id: int) -> tuple[str, str] | None:
        """See `Keeper.lost_queue`."""
        return self._healing.queues.get(queue_id)

    def compared(self, queue_id: int) -> None:
        """See `Keeper.compared`."""
        self._healing.strike_off(queue_id)

    def has_copies(self, queue_ids: "Collection[int]") -> None:
        """See `Keeper.has_copies`."""
        for queue_id in self._healing.queues.keys() - queue_ids:
            self._healing.strike_off(queue_id)

    async def keep(self, loss: "Loss", runs: "list[Run]") -> None:
        """Write these messages to files of their own, and say so. Raises OSError."""
        # two in one millisecond are two files
        self._last_stamp_ms = stamp_ms = max(self._last_stamp_ms + 1, self._clock.stamp_ms())
        lines: list[bytes] = []
        size_bytes = 0
        for line in recovery_line.lines_of(loss, runs, self._node, stamp_ms):
            lines.append(line)
            size_bytes += len(line)
            if size_bytes > FILE_BYTES_MAX:
                await self._write(loss, lines)
                lines, size_bytes = [], 0
        if lines:
            await self._write(loss, lines)

    async def _write(self, loss: "Loss", lines: list[bytes]) -> None:
        self._last_stamp_ms = stamp_ms = max(self._last_stamp_ms + 1, self._clock.stamp_ms())
        name = f"{quote(loss.queue, safe='')[:LABEL_MAX]}-{self._node}-{stamp_ms}.jsonl"
        path = self._disk.path_of(f"{FOLDER}/{name}")
        about = f"queue {loss.queue}: {len(lines)} messages that its master does not have"
        try:
            await self._disk.replace(f"{FOLDER}/{name}", b"".join(lines))
        except OSError as error:
            if not self._is_refused:
                self._is_refused = True
                why = f"{about} cannot be kept, this copy waits until they can: {error}"
                self._timeline.tell("set_aside", why, vhost=loss.vhost, queue=loss.queue, messages=0)
            raise
        self._is_refused = False
        if not self._disk.keeps:
            text = f"{about} are lost, as nothing is kept with data: memory: {loss.why}"
            lost = len(lines)
            log.error(
                "event=messages_lost vhost=%s queue=%s messages=%d why=%r", loss.vhost, loss.queue, lost, loss.why
            )
            self._timeline.tell("set_aside", text, vhost=loss.vhost, queue=loss.queue, messages=0, lost=lost)
            return
        facts = {"vhost": loss.vhost, "queue": loss.queue, "messages": len(lines), "file": path}
        self._timeline.tell("set_aside", f"{about} are kept in {path}: {loss.why}", **facts)

    # ------------------------------------------------------------------ files

    async def files(self) -> list[dict[str, Any]]:
        """Every file: `node`, `file`, `vhost`, `queue`, `queue_id`, `messages`, `why`, `stamp_ms`; the oldest first.
        Raises OSError."""
        rows = []
        for path in await self._disk.list_names(FOLDER):
            name = path.rpartition("/")[2]
            if name.endswith(".jsonl"):
                rows.append(self._known.get(name) or await self._describe(name))
        return sorted(rows, key=lambda row: (row["stamp_ms"], row["file"]))

    async def read(self, name: str) -> list[dict[str, Any]]:
        """The messages of a file. Raises FileNotFoundError, OSError, NotALine."""
        messages = []
        for number, line in enumerate(await self._lines(name), 1):
            try:
                messages.append(recovery_line.decode(line))
            except NotALine as wrong:
                raise NotALine(f"line {number}: {wrong}") from None
        return messages

    async def drop(self, name: str) -> int:
        """Remove a file, whatever is in it; how many lines it had. Raises FileNotFoundError, OSError."""
        lines = await self._lines(name)
        await self.rewrite(name, [])
        return len(lines)

    async def _lines(self, name: str) -> list[bytes]:
        if "/" in name or not name.endswith(".jsonl"):
            raise FileNotFoundError(name)
        return (await self._disk.read(f"{FOLDER}/{name}")).splitlines()

    async def rewrite(self, name: str, messages: list[dict[str, Any]]) -> None:
        """Leave only these messages in a file; without any the file goes. Raises OSError."""
        try:
            if messages:
                await self._disk.replace(f"{FOLDER}/{name}", b"".join(map(recovery_line.encode, messages)))
            else:
                await self._disk.remove(f"{FOLDER}/{name}")
        finally:
            self._known.pop(name, None)  # not before: whoever lists the files meanwhile would note the old content

    async def strike(self, places: set[tuple[int, int, int]]) -> None:
        """Messages that stood there are in their queues again. Raises OSError."""
        queue_ids = {queue_id for queue_id, _, _ in places}
        for row in await self.files():
            if row["queue_id"] in queue_ids:
                messages = await self.read(row["file"])
                left = [message for message in messages if recovery_line.place(message) not in places]
                if len(left) < len(messages):
                    await self.rewrite(row["file"], left)

    async def _describe(self, name: str) -> dict[str, Any]:
        try:
            messages = await self.read(name)
            if not messages:
                raise NotALine("it is empty")
        except NotALine as error:
            log.warning("event=no_recovery_file file=%s why=%s", self._disk.path_of(f"{FOLDER}/{name}"), error)
            return {"node": self._node, "file": name, "vhost": "", "queue": "", "queue_id": 0, "messages": 0} | {
                "why": f"this is no recovery file: {error}",
                "stamp_ms": 0,
            }
        facts = {key: messages[0][key] for key in ("vhost", "queue", "queue_id", "why", "stamp_ms")}
        row = self._known[name] = {"node": self._node, "file": name, "messages": len(messages), **facts}
        return row
