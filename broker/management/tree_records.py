"""Records of the tree, read in pieces: ten thousand of them are no reason for anybody to wait.

Decides how many are read in one go. It must not know what they say. What is changed meanwhile is read as it is when its
piece comes.
"""

from typing import TYPE_CHECKING, Final, TypeVar

import trio

from broker.cluster import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

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
