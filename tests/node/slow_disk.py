"""A disk whose writes take as long as they are told to: the one that began first may be the last to end."""

import trio

from broker.world.disk import Disk
from broker.world.through import Through


class SlowDisk(Through):
    """`delays_s`: of the next writes, one after the other; those that follow take no time."""

    def __init__(self, disk: Disk, *delays_s: float) -> None:
        super().__init__(disk)
        self._delays_s = list(delays_s)

    async def replace(self, name: str, data: bytes) -> None:
        await self._pass_time()
        await super().replace(name, data)

    async def remove(self, name: str) -> None:
        await self._pass_time()
        await super().remove(name)

    async def _pass_time(self) -> None:
        await trio.sleep(self._delays_s.pop(0) if self._delays_s else 0)
