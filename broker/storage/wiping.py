"""Forgets a node's past: identity, journal and metadata log.

Decides what belongs to a past: what was set aside for people and what could not be read stays. It must not know why.
"""

from broker.storage import identity, zab_log
from broker.storage.segments import FOLDER
from broker.world.disk import Disk


async def wipe(disk: Disk) -> None:
    """Remove it; harmless if repeated. The next life in this folder is a blank one. Raises OSError."""
    for name in [*await disk.list_names(FOLDER), zab_log.NAME, identity.NAME]:
        await disk.remove(name)
