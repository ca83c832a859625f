"""The state machine under the agreement: the tree, and which requests were carried out lately.

Decides what a committed log entry does to this node and what a snapshot of that is. It must not know who leads nor why
anything was asked. A transaction carries the id of the request it came from and the answer, so the node that asked
finds both in the log, whatever became of the leader; those of the last transactions are kept for one that gets a
snapshot instead of the log.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from broker.cluster import operations
from broker.cluster.entries import TRANSACTION, Entry
from broker.cluster.operations import Create, Operation, Set
from broker.cluster.records import MemberRecord, decode
from broker.cluster.schema import MEMBERS
from broker.cluster.tree import Tree, Znode, is_snapshot
from broker.cluster.watches import Change

RECENT_MAX = 4096
"""So many carried-out requests are remembered."""

_HEAD = struct.Struct(">HI")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Transaction:
    """What stands in the log. `request_id` is empty if nobody waits for the answer."""

    request_id: str
    answer: dict[str, Any]
    operations: list[Operation]

    def encode(self) -> bytes:
        """The payload of a log entry."""
        name, answer = self.request_id.encode(), json.dumps(self.answer, separators=(",", ":")).encode()
        return _HEAD.pack(len(name), len(answer)) + name + answer + operations.encode(self.operations)

    @classmethod
    def decode(cls, payload: bytes) -> "Transaction":
        """Raises ValueError for bytes that `encode` did not make."""
        try:
            name, answer = _HEAD.unpack_from(payload)
        except struct.error as error:
            raise ValueError(f"a transaction of {len(payload)} bytes") from error
        middle = _HEAD.size + name
        end = middle + answer
        return cls(
            payload[_HEAD.size : middle].decode(),
            json.loads(payload[middle:end]),
            operations.decode(payload[end:]),
        )


class State:
    """The committed state of this node."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.recent: dict[str, tuple[int, dict[str, Any]]] = {}
        """Request id -> zxid and answer, oldest first."""

    def apply(self, zxid: int, payload: bytes) -> Transaction:
        """Carry out one committed transaction; watches are called."""
        transaction = Transaction.decode(payload)
        if transaction.request_id:
            self.recent[transaction.request_id] = (zxid, transaction.answer)
            if len(self.recent) > RECENT_MAX:
                del self.recent[next(iter(self.recent))]
        self.tree.apply(zxid, transaction.operations)
        return transaction

    def snapshot(self) -> bytes:
        """Everything, as bytes."""
        recent = [[name, zxid, answer] for name, (zxid, answer) in self.recent.items()]
        head = json.dumps(recent, separators=(",", ":")).encode()
        return _LENGTH.pack(len(head)) + head + self.tree.snapshot()

    @staticmethod
    def can_restore(snapshot: bytes) -> bool:
        """Whether it has the format of this release."""
        return is_snapshot(snapshot, _LENGTH.size + _LENGTH.unpack_from(snapshot)[0])

    def restore(self, snapshot: bytes) -> None:
        """Become that state. Watches hear of every difference, as if it had come in transactions (but no events)."""
        (length,) = _LENGTH.unpack_from(snapshot)
        end = _LENGTH.size + length
        before = dict(_contents(self.tree))
        self.tree.restore(snapshot[end:])
        self.recent = {name: (zxid, answer) for name, zxid, answer in json.loads(snapshot[_LENGTH.size : end])}
        self.tree.watches.tell(_differences(before, dict(_contents(self.tree))))


def lives_in(entries: Iterable[Entry]) -> Iterator[MemberRecord]:
    """The lives that entries of a log register, be they committed or not."""
    for entry in entries:
        if entry.kind != TRANSACTION:
            continue
        for operation in Transaction.decode(entry.payload).operations:
            if isinstance(operation, Create | Set) and operation.path.startswith(f"{MEMBERS}/"):
                yield decode(MemberRecord, operation.data)


def _contents(tree: Tree, path: str = "/") -> Iterator[tuple[str, Znode]]:
    """Every path with its node, parents first."""
    node = tree.get(path)
    if node is not None:
        yield path, node
    prefix = "/" if path == "/" else path + "/"
    for name in tree.children(path):
        yield from _contents(tree, prefix + name)


def _differences(before: dict[str, Znode], after: dict[str, Znode]) -> Iterable[Change]:
    """What went, children first; then what came and what changed, in the order of the transactions that did it.

    What was deleted and created again under the same path meanwhile went and came.
    """
    kept = {path for path, node in after.items() if path in before and before[path].czxid == node.czxid}
    for path in reversed(before):
        if path not in kept:
            yield Change("deleted", path, before[path].data, None)
    news = [path for path, node in after.items() if path not in kept or before[path].data != node.data]
    for path in sorted(news, key=lambda path: after[path].mzxid if path in kept else after[path].czxid):
        if path in kept:
            yield Change("changed", path, before[path].data, after[path].data)
        else:
            yield Change("created", path, None, after[path].data)
