"""Orders for a node whose process does not run: they are written into its data folder, for its next life.

Decides that nobody writes there while the node runs. What the orders mean is `membership`'s of the node.
"""

from collections.abc import Callable
from dataclasses import replace

import trio

from broker.cli.ctl.failures import CtlFailure, Exit, Misuse
from broker.node.configuration import Cluster
from broker.node.membership import Standing
from broker.world.disk import FolderInUse, RealDisk

NODE_RUNS = "this command requires the target node to be stopped."

Change = Callable[[Standing], Standing]


def order_boot(cluster: Cluster, node: str) -> None:
    """The next life goes on with whom it finds. Raises CtlFailure, Misuse."""
    _rewrite(cluster, node, lambda standing: replace(standing, orders=replace(standing.orders, force_boot=True)))


def order_to_forget(cluster: Cluster, node: str, gone: str) -> None:
    """The next life forgets that member, and goes on without it. Raises CtlFailure, Misuse."""

    def forget(standing: Standing) -> Standing:
        members = standing.members if standing.members is not None else cluster.names
        if gone not in members or gone == node or gone in standing.orders.forget:
            raise CtlFailure(Exit.UNAVAILABLE, "The node selected is not in the cluster.")
        orders = replace(standing.orders, force_boot=True, forget=(*standing.orders.forget, gone))
        return replace(standing, orders=orders)

    _rewrite(cluster, node, forget)


def rename(cluster: Cluster, old: str, new: str) -> None:
    """The folder of a node gets the node's new name. Raises CtlFailure, Misuse."""

    def renamed(standing: Standing) -> Standing:
        members = standing.members
        return (
            standing
            if members is None
            else replace(standing, members={new if name == old else name: link for name, link in members.items()})
        )

    folder = cluster.node_folder(old)
    if folder is not None and folder.is_dir():
        try:
            _rewrite(cluster, old, renamed)
            folder.rename(folder.with_name(new))
        except (CtlFailure, Misuse, OSError) as failure:  # for the cluster it is done, and asking again would not help
            why = failure.strerror if isinstance(failure, OSError) else failure
            text = f"rabbit@{old} is rabbit@{new} for its cluster now, but its folder could not be renamed: {why}"
            raise CtlFailure(Exit.UNAVAILABLE, f"{text} (rename {folder} to {new} by hand)") from None


def check_renaming(cluster: Cluster, old: str, new: str) -> None:
    """Nobody lives in the folder of that node, and its new place is free, as far as this machine can see: the folder
    may be on another one, or nothing is kept. Raises Misuse, CtlFailure."""
    folder = cluster.node_folder(old)
    if folder is None or not folder.is_dir():
        return
    disk = RealDisk(folder)
    _claim(disk)
    disk.release()
    if folder.with_name(new).exists():
        raise CtlFailure(Exit.UNAVAILABLE, f"{folder.with_name(new)} is there already")


def _rewrite(cluster: Cluster, node: str, change: Change) -> None:
    folder = cluster.node_folder(node)
    if folder is None or not folder.is_dir():
        where = "keeps nothing" if folder is None else f"has no data folder here ({folder})"
        raise CtlFailure(Exit.UNAVAILABLE, f"rabbit@{node} does not answer, and {where}")

    async def write() -> None:
        disk = RealDisk(folder)
        await change(await Standing.read(disk)).write(disk)

    disk = RealDisk(folder)
    _claim(disk)
    try:
        trio.run(write)
    except OSError as error:
        raise CtlFailure(Exit.UNAVAILABLE, f"{error.filename or folder}: {error.strerror or error}") from None
    finally:
        disk.release()


def _claim(disk: RealDisk) -> None:
    try:
        disk.claim()
    except FolderInUse:
        raise Misuse(NODE_RUNS) from None
