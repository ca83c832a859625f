"""What the leader sees: the committed tree and on top of it everything that it has proposed but not yet committed.

Decides whether an operation fits (ZooKeeper's conditions: parent, version, children, path) and writes it down with
absolute effects. Changes are made inside `transaction`; a refusal in it undoes all of them, the parents' counts too
(ZOOKEEPER-1624). Looks like a tree to readers. A leader makes one at the start of its reign, once everything in its log
is committed and applied, and throws it away at the end with what was outstanding. It must not know what the data mean.
"""

import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from broker.cluster.operations import Create, Delete, Event, Operation, Set
from broker.cluster.refusal import Refused
from broker.cluster.tree import Tree, Znode, parent_of

ANY_VERSION = -1
SEQUENCE_FORMAT = "%010d"

_BAD_CHARACTER = re.compile("[\0-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff]")
"""What ZooKeeper forbids in a path."""


class _Shadow(NamedTuple):
    """An outstanding state of one path; `node` None: it will be gone."""

    zxid: int
    node: Znode | None


class Overlay:
    """Committed and outstanding state together."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.zxid = tree.zxid
        """The last transaction that was prepared; an answer that changed nothing counts once this is committed."""
        self._shadows: dict[str, _Shadow] = {}
        self._order: deque[tuple[int, str]] = deque()
        self._names: dict[str, dict[str, None]] = {}
        self._found: dict[str, dict[str, None]] = {}
        self._open: list[Operation] | None = None
        self._undo: list[tuple[str, _Shadow | None]] = []
        self._opened_zxid = 0

    def get(self, path: str) -> Znode | None:
        """The znode as it will be (its `children` are not told here)."""
        shadow = self._shadows.get(path)
        return self.tree.get(path) if shadow is None else shadow.node

    def data(self, path: str) -> bytes | None:
        """The data at this path, None if there is no znode."""
        node = self.get(path)
        return None if node is None else node.data

    def children(self, path: str) -> list[str]:
        """The names of the children, sorted; none if there is no znode."""
        return sorted(self._children(path))

    def find(self, key: str) -> list[str]:
        """The paths that the index knows under this key, sorted."""
        settled = [path for path in self.tree.find(key) if path not in self._shadows]
        outstanding = self._found.get(key)
        return sorted([*settled, *outstanding]) if outstanding else settled

    @contextmanager
    def transaction(self, zxid: int) -> Iterator[list[Operation]]:
        """Everything changed inside becomes one list of operations; if the body raises, nothing was changed."""
        assert self._open is None, "transactions do not nest"
        self._forget(self.tree.zxid)
        self._open, self._opened_zxid, self._undo = [], zxid, []
        try:
            yield self._open
        except BaseException:
            for path, before in reversed(self._undo):
                self._restore(path, before)
            raise
        else:
            if self._open:
                self.zxid = zxid
                # In the order of zxids, so that forgetting stops at the first that is still outstanding.
                self._order.extend((zxid, path) for path in dict.fromkeys(path for path, _ in self._undo))
        finally:
            self._open = None

    def create(self, path: str, data: bytes, *, owner: int = 0, sequential: bool = False) -> str:
        """A new znode; its path is returned, with the number if it is sequential. Raises Refused."""
        above, name = parent_of(path)
        if not path.startswith("/"):
            raise Refused("bad_path", f"{path} does not start with /")
        parent = self.get(above)
        if parent is None:
            raise Refused("no_node", f"{path} has no parent")
        if sequential:
            path += SEQUENCE_FORMAT % parent.created
            name = parent_of(path)[1]
        if name in ("", ".", "..") or _BAD_CHARACTER.search(name):
            raise Refused("bad_path", f"{path!r} is not a path")
        if self.get(path) is not None:
            raise Refused("node_exists", f"{path} exists")
        if parent.owner:
            raise Refused("ephemeral_parent", f"{above} is ephemeral and has no children")
        grown = parent.copy()
        grown.created += 1
        grown.pzxid = self._opened_zxid
        self._write(above, grown)
        node = Znode(data, self._opened_zxid, owner)
        node.keys = self.tree.keys_of(path, data, owner)
        self._write(path, node)
        self._log(Create(path, data, grown.created, owner))
        return path

    def set(self, path: str, data: bytes, version: int = ANY_VERSION) -> int:
        """New data; the new version is returned. Raises Refused."""
        node = self.check(path, version).copy()
        node.data, node.mzxid = data, self._opened_zxid
        node.version += 1
        node.keys = self.tree.keys_of(path, data, node.owner)
        self._write(path, node)
        self._log(Set(path, data, node.version))
        return node.version

    def delete(self, path: str, version: int = ANY_VERSION) -> None:
        """The znode goes; it must have no children. Raises Refused."""
        if path == "/":
            raise Refused("bad_path", "the root stays")
        self.check(path, version)
        if next(self._children(path), None) is not None:
            raise Refused("not_empty", f"{path} has children")
        above = parent_of(path)[0]
        parent = self.get(above)
        assert parent is not None
        if parent.pzxid != self._opened_zxid:
            shrunk = parent.copy()
            shrunk.pzxid = self._opened_zxid
            self._write(above, shrunk)
        self._write(path, None)
        self._log(Delete(path))

    def check(self, path: str, version: int = ANY_VERSION) -> Znode:
        """The znode, if it is there and has this version. Raises Refused."""
        node = self.get(path)
        if node is None:
            raise Refused("no_node", f"{path} does not exist")
        if version not in (ANY_VERSION, node.version):
            raise Refused("bad_version", f"{path} has version {node.version}, not {version}")
        return node

    def put(self, path: str, data: bytes) -> bool:
        """Create it or set it, whichever is needed; False if it had this data already."""
        node = self.get(path)
        if node is None:
            self.create(path, data)
        elif node.data == data:
            return False
        else:
            self.set(path, data)
        return True

    def event(self, event: Event) -> None:
        """News that travels with this transaction."""
        self._log(event)

    def _children(self, path: str) -> Iterator[str]:
        settled = self.tree.get(path)
        prefix = "/" if path == "/" else path + "/"
        outstanding = self._names.get(path, {})
        if settled is not None:
            yield from (name for name in settled.children if name not in outstanding)
        yield from (name for name in outstanding if self._shadows[prefix + name].node is not None)

    def _log(self, operation: Operation) -> None:
        assert self._open is not None, "changes are made inside a transaction"
        self._open.append(operation)

    def _write(self, path: str, node: Znode | None) -> None:
        self._undo.append((path, self._shadows.get(path)))
        self._restore(path, _Shadow(self._opened_zxid, node))

    def _restore(self, path: str, shadow: _Shadow | None) -> None:
        before = self._shadows.get(path)
        if before is not None and before.node is not None:
            for key in before.node.keys:
                there = self._found[key]
                there.pop(path, None)
                if not there:
                    del self._found[key]
        if shadow is None:
            del self._shadows[path]
        else:
            self._shadows[path] = shadow
        if path != "/":
            above, name = parent_of(path)
            names = self._names.setdefault(above, {})
            if shadow is not None:
                names[name] = None
            else:
                del names[name]
                if not names:
                    del self._names[above]
        if shadow is not None and shadow.node is not None:
            for key in shadow.node.keys:
                self._found.setdefault(key, {})[path] = None

    def _forget(self, committed: int) -> None:
        while self._order and self._order[0][0] <= committed:
            path = self._order.popleft()[1]
            shadow = self._shadows.get(path)
            if shadow is not None and shadow.zxid <= committed:
                self._restore(path, None)
