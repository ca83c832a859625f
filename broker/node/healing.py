"""What a node remembers while it goes over from a history that lost to the one that won (DESIGN S9).

Decides what has to survive a kill: whose history is taken, that the own metadata log still has to go, and which queues'
copies were not yet compared with a master of that history. It must not know how they are compared.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import trio

from broker.cluster import schema
from broker.cluster.entries import TRANSACTION, Accept, DamagedLog
from broker.cluster.operations import Create, Set
from broker.cluster.records import QueueRecord, decode
from broker.cluster.schema import copies_key
from broker.metadata.state import Transaction
from broker.node.store import Unusable
from broker.storage.journal import JournalFailed
from broker.storage.zab_log import ZabLog

if TYPE_CHECKING:
    from broker.cluster.entries import DurableState
    from broker.cluster.tree import Tree
    from broker.world.disk import Disk

log = logging.getLogger("warren.node")

FILE = "healing.json"


def copies_here(
    node: str, tree: "Tree", durable: "DurableState", recovered: Iterable[int]
) -> dict[int, tuple[str, str]]:
    """By id vhost and name of the queues of which this node may hold something: those that the tree says, and those
    whose copies were `recovered`, whose names may stand in the log only, not known to be committed."""
    found = {record.id: (record.vhost, record.name) for record in schema.found(tree, QueueRecord, copies_key(node))}
    names = {
        record.id: (record.vhost, record.name)
        for vhost in schema.vhosts(tree)
        for record in schema.all_queues(tree, vhost.name)
    }
    for entry in durable.entries:
        for operation in Transaction.decode(entry.payload).operations if entry.kind == TRANSACTION else ():
            if isinstance(operation, Create | Set) and fnmatchcase(operation.path, schema.queue_path("*", "*")):
                record = decode(QueueRecord, operation.data)
                names[record.id] = (record.vhost, record.name)
    return found | {queue_id: names.get(queue_id, ("", "")) for queue_id in recovered}


class Healing:
    """From `begin` until every copy was compared; over several lives of the node, and processes."""

    def __init__(self, disk: "Disk") -> None:
        self.leader = ""
        self.epoch: int | None = None
        """The node follows only a history with this epoch; None: its log has it, or none has won."""
        self.queues: dict[int, tuple[str, str]] = {}
        """By id vhost and name of queues whose copy here may hold what only the lost history had."""
        self._is_log_due = False
        self._disk = disk
        self._changed = trio.Event()
        self._one_at_a_time = trio.Lock()

    async def load(self) -> None:
        """Take up what an earlier process left, and do what it had no time for. Raises OSError, Unusable."""
        try:
            found = json.loads(await self._disk.read(FILE))
            self.leader, self.epoch, self._is_log_due = found["leader"], found["epoch"], found["is_log_due"]
            self.queues = {int(queue_id): (vhost, name) for queue_id, (vhost, name) in found["queues"].items()}
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # to go on without it would cut those copies
            why = "it says which copies here are of a lost history: put a copy of it back, or remove the folder"
            raise Unusable(f"{self._disk.path_of(FILE)} cannot be read ({error}): {why}") from error
        try:
            await self._forget_log()
        except (DamagedLog, JournalFailed) as error:
            raise Unusable(
                f"{error}: put a copy of it back, or remove the folder, so that the others fill it"
            ) from error

    async def begin(self, leader: str, epoch: int, queues: Mapping[int, tuple[str, str]]) -> None:
        """Give the own history up for that of this leader: its metadata log goes, once that is written down. `queues`:
        of which there are copies here. Raises OSError."""
        self.leader, self.epoch, self._is_log_due = leader, epoch, True
        self.queues |= queues
        await self._write()
        await self._forget_log()

    async def joined(self) -> None:
        """The log of this node has that history. Raises OSError."""
        if self.epoch is not None:
            self.leader, self.epoch = "", None
            await self._write()

    async def forget(self) -> None:
        """This node has no history any more, of whatever cluster. Raises OSError."""
        self.leader, self.epoch, self.queues, self._is_log_due = "", None, {}, False
        await self._write()

    def strike_off(self, queue_id: int) -> None:
        """The copy was compared, or is not there any more."""
        if self.queues.pop(queue_id, None) is not None:
            self._changed.set()

    async def run(self) -> None:
        """Write down what was struck off, until cancelled: if that gets lost, it is compared again."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            try:
                await self._write()
            except OSError as error:
                log.warning("event=healing_not_written file=%s why=%s", self._disk.path_of(FILE), error)
            await trio.sleep(0.2)  # many at once are one write

    async def _forget_log(self) -> None:
        """All but the highest epoch that this member has accepted: whoever leads it next begins a higher one, and with
        it come higher terms than any that the lost history had."""
        if self._is_log_due:
            log = ZabLog(self._disk)
            accepted = (await log.recover()).accepted_epoch
            log.close()
            fresh = ZabLog(self._disk)
            await fresh.persist([Accept(accepted)], sync=True)
            fresh.close()
            self._is_log_due = False
            await self._write()

    async def _write(self) -> None:
        async with self._one_at_a_time:  # what was true last is what stays on the disk
            if not self.queues and self.epoch is None:
                await self._disk.remove(FILE)
                return
            content: dict[str, Any] = {
                "leader": self.leader,
                "epoch": self.epoch,
                "is_log_due": self._is_log_due,
                "queues": {str(queue_id): list(names) for queue_id, names in self.queues.items()},
            }
            await self._disk.replace(FILE, json.dumps(content).encode() + b"\n")
