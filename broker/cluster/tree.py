"""The tree of znodes that every node of the cluster holds, changed by committed transactions only.

Decides what each operation does (ZooKeeper's data tree: versions, zxids, ephemeral owners, sequence counts), which
changes a transaction made, and a digest by which copies are compared. Rule 1: `apply` depends on nothing but the tree
and the operations. Rule 2: a transaction that was applied is skipped. It must not know conditions (the overlay checks
them), what the data mean, nor who watches. An index, handed in, says under which keys a znode can be found.
"""

import struct
from collections.abc import Callable, Iterable
from hashlib import blake2b

from broker.cluster.operations import Create, Delete, Event, Operation, Set
from broker.cluster.watches import EVENTS, Change, Watches

Index = Callable[[str, bytes], tuple[str, ...]]
"""Path and data -> the keys under which `find` gives this path."""

_MASK = (1 << 64) - 1
_IDENTITY = struct.Struct(">QQQQQQ")
_HEAD = struct.Struct(">4sQQI")
_ITEM = struct.Struct(">IIQQQQQQ")
_MAGIC = b"TRE1"


NO_CHILDREN: dict[str, None] = {}
"""Stands in every leaf; replaced, not filled, when the first child comes."""


class Znode:
    """One znode. `created` counts the children it ever got; ZooKeeper's cversion is `2 * created - len(children)`."""

    __slots__ = ("children", "created", "czxid", "data", "digest", "keys", "mzxid", "owner", "pzxid", "version")

    def __init__(self, data: bytes, zxid: int, owner: int = 0) -> None:
        self.data = data
        self.version = 0
        self.created = 0
        self.czxid = zxid
        self.mzxid = zxid
        self.pzxid = zxid
        self.owner = owner
        self.children: dict[str, None] = NO_CHILDREN
        self.keys: tuple[str, ...] = ()
        self.digest = 0

    def copy(self) -> "Znode":
        """The same facts, without the children."""
        twin = Znode(self.data, self.czxid, self.owner)
        twin.version, twin.created, twin.mzxid, twin.pzxid = self.version, self.created, self.mzxid, self.pzxid
        twin.keys = self.keys
        return twin


class Tree:
    """The committed state."""

    def __init__(self, index: Index | None = None) -> None:
        self._nodes: dict[str, Znode] = {"/": Znode(b"", 0)}
        self._index = index
        self._found: dict[str, dict[str, None]] = {}
        self.zxid = 0
        """The last transaction that was applied."""
        self.digest = 0
        """A 64-bit sum over all znodes: equal on all nodes at the same zxid."""
        self.watches = Watches()
        self._weigh({"/": self._nodes["/"]})

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, path: str) -> Znode | None:
        """The znode at this path. The caller changes nothing in it."""
        return self._nodes.get(path)

    def data(self, path: str) -> bytes | None:
        """The data at this path, None if there is no znode."""
        node = self._nodes.get(path)
        return None if node is None else node.data

    def children(self, path: str) -> list[str]:
        """The names of the children, sorted; none if there is no znode."""
        node = self._nodes.get(path)
        return sorted(node.children) if node is not None else []

    def find(self, key: str) -> list[str]:
        """The paths that the index knows under this key, sorted."""
        return sorted(self._found.get(key, ()))

    def apply(self, zxid: int, operations: Iterable[Operation]) -> list[Change]:
        """Carry out one committed transaction, tell the watches, return the changes; [] if it was carried out before.

        Raises KeyError if an operation does not fit the tree: then this copy is damaged and must not go on.
        """
        if zxid <= self.zxid:
            return []
        changes: list[Change] = []
        touched: dict[str, Znode] = {}
        for operation in operations:
            match operation:
                case Set():
                    changes.append(self._set(zxid, operation, touched))
                case Create():
                    changes.append(self._create(zxid, operation, touched))
                case Delete():
                    changes.append(self._delete(zxid, operation, touched))
                case Event(facts):
                    changes.append(Change("event", EVENTS, None, facts))
        self._weigh(touched)
        self.zxid = zxid
        self.watches.tell(changes)
        return changes

    def keys_of(self, path: str, data: bytes, owner: int) -> tuple[str, ...]:
        """Under which keys a znode with this content is to be found."""
        keys = self._index(path, data) if self._index is not None else ()
        return (*keys, ephemerals_of(owner)) if owner else keys

    def snapshot(self) -> bytes:
        """The whole state; equal trees give equal bytes."""
        parts = [_HEAD.pack(_MAGIC, self.zxid, self.digest, len(self._nodes))]
        for path in sorted(self._nodes):
            node = self._nodes[path]
            name = path.encode()
            numbers = (node.owner, node.created, node.version, node.czxid, node.mzxid, node.pzxid)
            parts += (_ITEM.pack(len(name), len(node.data), *numbers), name, node.data)
        return b"".join(parts)

    def restore(self, snapshot: bytes) -> None:
        """Become the state of that snapshot; watches stay and hear nothing. Raises ValueError if it is damaged."""
        try:
            zxid, digest, nodes = _read(snapshot)
        except struct.error as error:
            raise ValueError("the snapshot of the tree ends too early") from error
        fresh = Tree(self._index)
        fresh.digest = 0
        fresh._weigh(nodes)
        if fresh.digest != digest:
            raise ValueError(f"the snapshot of the tree has digest {fresh.digest:016x}, not {digest:016x}")
        for path, node in nodes.items():
            if path != "/":
                above, name = parent_of(path)
                _adopt(nodes[above], name)
            fresh._enter(path, node)
        self._nodes, self._found, self.zxid, self.digest = nodes, fresh._found, zxid, digest

    def _create(self, zxid: int, operation: Create, touched: dict[str, Znode]) -> Change:
        path = operation.path
        if path in self._nodes:
            raise KeyError(path)
        above, name = parent_of(path)
        parent = self._touch(above, touched)
        _adopt(parent, name)
        parent.created, parent.pzxid = operation.created, zxid
        node = Znode(operation.data, zxid, operation.owner)
        self._nodes[path] = touched[path] = node
        self._enter(path, node)
        return Change("created", path, None, node.data)

    def _set(self, zxid: int, operation: Set, touched: dict[str, Znode]) -> Change:
        path = operation.path
        node = self._touch(path, touched)
        old = node.data
        self._leave(path, node)
        node.data, node.version, node.mzxid = operation.data, operation.version, zxid
        self._enter(path, node)
        return Change("changed", path, old, node.data)

    def _delete(self, zxid: int, operation: Delete, touched: dict[str, Znode]) -> Change:
        path = operation.path
        node = self._touch(path, touched)
        if node.children or path == "/":
            raise KeyError(path)
        self._leave(path, node)
        del self._nodes[path], touched[path]
        above, name = parent_of(path)
        parent = self._touch(above, touched)
        del parent.children[name]
        parent.pzxid = zxid
        return Change("deleted", path, node.data, None)

    def _touch(self, path: str, touched: dict[str, Znode]) -> Znode:
        node = self._nodes[path]
        if path not in touched:
            touched[path] = node
            self.digest = (self.digest - node.digest) & _MASK
        return node

    def _weigh(self, touched: dict[str, Znode]) -> None:
        total = self.digest
        for path, node in touched.items():
            numbers = _IDENTITY.pack(node.owner, node.created, node.version, node.czxid, node.mzxid, node.pzxid)
            weight = blake2b(numbers, digest_size=8)
            weight.update(path.encode() + b"\0")
            weight.update(node.data)
            node.digest = int.from_bytes(weight.digest(), "big")
            total += node.digest
        self.digest = total & _MASK

    def _enter(self, path: str, node: Znode) -> None:
        node.keys = self.keys_of(path, node.data, node.owner)
        for key in node.keys:
            self._found.setdefault(key, {})[path] = None

    def _leave(self, path: str, node: Znode) -> None:
        for key in node.keys:
            there = self._found[key]
            there.pop(path, None)
            if not there:
                del self._found[key]


def parent_of(path: str) -> tuple[str, str]:
    """The path of the parent, and the name under it."""
    above, _, name = path.rpartition("/")
    return above or "/", name


def _adopt(parent: Znode, name: str) -> None:
    if parent.children is NO_CHILDREN:
        parent.children = {}
    parent.children[name] = None


def ephemerals_of(owner: int) -> str:
    """The key under which `find` gives the ephemeral znodes of a session."""
    return f"ephemeral:{owner}"


def is_snapshot(data: bytes, offset: int) -> bool:
    """Whether a snapshot that `restore` can read begins there."""
    return data.startswith(_MAGIC, offset)


def _read(snapshot: bytes) -> tuple[int, int, dict[str, Znode]]:
    magic, zxid, digest, count = _HEAD.unpack_from(snapshot)
    if magic != _MAGIC:
        raise ValueError(f"not a snapshot of the tree: {magic!r}")
    nodes: dict[str, Znode] = {}
    offset = _HEAD.size
    for _ in range(count):
        name, size, owner, created, version, czxid, mzxid, pzxid = _ITEM.unpack_from(snapshot, offset)
        middle = offset + _ITEM.size + name
        path = snapshot[middle - name : middle].decode()
        offset = middle + size
        if offset > len(snapshot):
            raise ValueError("the snapshot of the tree ends too early")
        node = Znode(snapshot[middle : middle + size], czxid, owner)
        node.created, node.version, node.mzxid, node.pzxid = created, version, mzxid, pzxid
        nodes[path] = node
    if offset != len(snapshot):
        raise ValueError("the snapshot of the tree goes on after its end")
    return zxid, digest, nodes
