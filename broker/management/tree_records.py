"""Records of the tree, read in pieces: ten thousand of them are no reason for anybody to wait.

Decides how many are read in one go. It must not know what they say. What is changed meanwhile is read as it is when its
piece comes.
"""

from typing import TYPE_CHECKING, Final, TypeVar

import trio

from broker.cluster import schema
from broker.cluster.records import QueueRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from broker.cluster.tree import Tree

RECORDS_PER_TURN: Final = 500
"""What takes about 1 ms."""

R = TypeVar("R")


async def read_all(tree: "Tree", kind: type[R], vhosts: "Sequence[str]", folder: str) -> list[R]:
    """Those in this folder of these virtual hosts, by name."""
    records: list[R] = []
    for vhost in vhosts:
        path = schema.vhost_path(vhost, folder)
        names = tree.children(path)
        for start in range(0, len(names), RECORDS_PER_TURN):
            await trio.lowlevel.checkpoint()
            piece = [schema.read(tree, kind, f"{path}/{name}") for name in names[start : start + RECORDS_PER_TURN]]
            records += [record for record in piece if record is not None]
    return records


class QueueRecords:
    """The queues that clients know of, as one node knows them; read anew when the tree has changed."""

    def __init__(self, tree: "Callable[[], Tree]") -> None:
        self._tree = tree
        self._zxid = -1
        self._by_vhost: dict[str, list[QueueRecord]] = {}

    async def of(self, vhosts: "Sequence[str]") -> list[QueueRecord]:
        """Those in these virtual hosts, by name. Whoever gets the list changes nothing in it."""
        tree = self._tree()
        if tree.zxid != self._zxid:
            self._zxid, self._by_vhost = tree.zxid, {}
        known = self._by_vhost  # if the tree changes meanwhile, it is not kept
        for vhost in vhosts:
            if vhost not in known:
                found = await read_all(tree, QueueRecord, [vhost], "queues")
                known[vhost] = [record for record in found if not record.delays]
        await trio.lowlevel.checkpoint()
        return known[vhosts[0]] if len(vhosts) == 1 else [record for vhost in vhosts for record in known[vhost]]
