"""The process of one node: signals, logging, and one life after the other.

Decides what the process prints and when it ends. It must not know what a life is made of.
"""

import gc
import logging
import signal
import sys
from collections.abc import Mapping

import trio

from broker.management.door import HttpDoor
from broker.node.configuration import Cluster
from broker.node.founding import definitions_of
from broker.node.node import Node, Surroundings, first_of
from broker.node.store import Unusable
from broker.world.chance import make_chance
from broker.world.clock import RealClock
from broker.world.disk import FolderInUse, MemoryDisk, RealDisk
from broker.world.memory import ProcessMemory
from broker.world.network import TcpNetwork
from broker.world.process import boot_id, keep_memory

SWITCH_INTERVAL_S = 0.0005
"""The journal's thread must get the interpreter lock back quickly after a write."""
GC_THRESHOLDS = (50_000, 50, 100)

log = logging.getLogger("warren.node")


def run_node(cluster: Cluster, name: str, cut: Mapping[str, str]) -> int:
    """Run this node until it is told to stop; returns the exit code. `cut`: links to drop from the start."""
    keep_memory()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    try:
        definitions = definitions_of(cluster)
    except (OSError, ValueError) as reason:
        log.error("event=cannot_run node=%s why=%s: %s", name, cluster.definitions, reason)
        return 1
    folder = cluster.node_folder(name)
    disk = MemoryDisk() if folder is None else RealDisk(folder)
    try:
        if isinstance(disk, RealDisk):
            disk.claim()
        world = Surroundings(TcpNetwork(), disk, RealClock(), make_chance(), HttpDoor, ProcessMemory(), boot_id())
        node = Node(cluster, name, world, cut, definitions)
        trio.run(_main, node)
    except FolderInUse as reason:
        log.error("event=folder_in_use %s", reason)
        return 1
    except (OSError, ExceptionGroup) as failure:
        first = first_of(failure)
        if not isinstance(first, OSError | Unusable):
            raise
        log.error("event=cannot_run node=%s why=%s", name, first)
        return 1
    finally:
        if isinstance(disk, RealDisk):
            disk.release()
    return 0


async def _main(node: Node) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, node)
        await node.run()
        nursery.cancel_scope.cancel()


async def _stop_on_signal(node: Node) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            node.stop()
