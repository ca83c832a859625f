"""Who this data folder is, and how many lives a node has had in it.

Decides the folder's id and the number of each life (DESIGN S12, S13): a life has a higher number than every earlier
one, and that is on disk before anybody hears of it. Decides, too, whether the folder may lack what it was reported to
have: under a lax fsync policy, when the machine has been started anew since a life that did not end in good order. It
must not know the cluster; which cluster the folder belongs to stands in the metadata log.
"""

import json
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from broker.storage.formats import NewerFormat
from broker.storage.fsync import ALWAYS, Fsync, sync_journal
from broker.world.disk import Disk

NAME = "identity.json"
FORMAT = 1


class DamagedIdentity(Exception):
    """The file cannot be what this program wrote: nobody can say which life would be the next."""


@dataclass(frozen=True, slots=True)
class Folder:
    """One life in a data folder. `blank`: nobody has lived here before, so nothing is remembered. `lossy`: what was
    reported as safe may be missing, until somebody who knows has taken note of it."""

    id: str
    life: int
    blank: bool
    lossy: bool = False
    fsync: Fsync = ALWAYS
    boot: str = ""

    @classmethod
    async def begin_life(
        cls, disk: Disk, *, chance: Random, stamp_ms: int, fsync: Fsync = ALWAYS, boot: str = "", above: int = 0
    ) -> "Folder":
        """Count one life more, durably. `boot`: which run of the machine this is; empty if nobody knows. `above`: the
        number must be higher than this one, too.

        A new folder starts counting at the time of day: a node that lost its disk, or keeps nothing, must not come
        back under the number of a life that others remember. Raises DamagedIdentity, NewerFormat, OSError.
        """
        try:
            content = _decode(await disk.read(NAME), disk.path_of(NAME))
        except FileNotFoundError:
            life = max(stamp_ms, above + 1)
            folder = cls(f"{chance.getrandbits(128):032x}", life, blank=True, fsync=fsync, boot=boot)
        else:
            lossy = _may_lack_something(content, boot)
            if content.get("unsynced", False):
                await sync_journal(disk)
            life = max(content["life"], above) + 1
            folder = cls(content["folder"], life, blank=False, lossy=lossy, fsync=fsync, boot=boot)
        await folder._write(disk, unsynced=not fsync.keeps_promises)
        return folder

    @staticmethod
    async def check(disk: Disk, boot: str) -> bool:
        """Whether the next life will be `lossy`. Raises what `begin_life` does; nothing is written."""
        try:
            return _may_lack_something(_decode(await disk.read(NAME), disk.path_of(NAME)), boot)
        except FileNotFoundError:
            return False

    async def told(self, disk: Disk) -> "Folder":
        """The cluster knows that something may be missing here: from now on the folder counts for what is in it."""
        folder = replace(self, lossy=False)
        await folder._write(disk, unsynced=not self.fsync.keeps_promises)
        return folder

    async def end_life(self, disk: Disk) -> None:
        """Everything was synced, and nothing is written any more. Raises OSError."""
        if not self.fsync.keeps_promises:
            await self._write(disk, unsynced=False)

    async def _write(self, disk: Disk, *, unsynced: bool) -> None:
        content: dict[str, Any] = {"format": FORMAT, "folder": self.id, "life": self.life}
        if unsynced:
            content |= {"unsynced": True, "boot": self.boot}
        if self.lossy:
            content["lossy"] = True
        await disk.replace(NAME, json.dumps(content).encode() + b"\n")


def _may_lack_something(content: dict[str, Any], boot: str) -> bool:
    is_same_run = bool(boot) and boot == content.get("boot")
    return bool(content.get("lossy", False) or (content.get("unsynced", False) and not is_same_run))


def _decode(data: bytes, path: str) -> dict[str, Any]:
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise NewerFormat(path, f"format {content['format']}")
        return {**content, "folder": str(content["folder"]), "life": int(content["life"])}
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedIdentity(f"{path}: {error!r}: put a copy of it back, or remove the folder") from error
