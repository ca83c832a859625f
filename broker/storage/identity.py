"""Who this data folder is, and how many lives a node has had in it.

Decides the folder's id and the number of each life (DESIGN S12, S13): a life has a higher number than every earlier
one, and that is on disk before anybody hears of it. It must not know the cluster; which cluster the folder belongs
to stands in the metadata log.
"""

import json
from dataclasses import dataclass
from random import Random

from broker.world.disk import Disk

NAME = "identity.json"
FORMAT = 1


class DamagedIdentity(Exception):
    """The file cannot be what this program wrote: nobody can say which life would be the next."""


@dataclass(frozen=True, slots=True)
class Folder:
    """One life in a data folder. `blank`: nobody has lived here before, so nothing is remembered."""

    id: str
    life: int
    blank: bool

    @classmethod
    async def begin_life(cls, disk: Disk, *, chance: Random, stamp_ms: int) -> "Folder":
        """Count one life more, durably.

        A new folder starts counting at the time of day: a node that lost its disk, or keeps nothing, must not come
        back under the number of a life that others remember. Raises DamagedIdentity, OSError.
        """
        try:
            folder_id, life = _decode(await disk.read(NAME), disk.path_of(NAME))
            folder = cls(folder_id, life + 1, blank=False)
        except FileNotFoundError:
            folder = cls(f"{chance.getrandbits(128):032x}", stamp_ms, blank=True)
        content = {"format": FORMAT, "folder": folder.id, "life": folder.life}
        await disk.replace(NAME, json.dumps(content).encode() + b"\n")
        return folder


def _decode(data: bytes, path: str) -> tuple[str, int]:
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise DamagedIdentity(f"{path}: format {content['format']} is not known to this release")
        return str(content["folder"]), int(content["life"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedIdentity(f"{path}: {error!r}") from error
