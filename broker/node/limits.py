"""Limits of this node that an operator moves while it runs: memory and disk.

Decides how such a request becomes a limit; it holds until the process ends. It must not know what follows from it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import trio

from broker.cluster.asked import ask
from broker.cluster.refusal import Refused
from broker.vhosts.alarms import Limit, disk_free_limit, memory_limit

if TYPE_CHECKING:
    from broker.vhosts.alarms import AlarmLimits

log = logging.getLogger("warren.node")

Answer = dict[str, Any]


class Limits:
    """The verbs of one life of a node; `limit` is written as in cluster.yaml."""

    def __init__(self, limits: "AlarmLimits") -> None:
        self._limits = limits
        self.verbs: Mapping[str, Callable[[Answer], Awaitable[Answer]]] = {
            "set_vm_memory_high_watermark": self._set_memory_limit,
            "set_disk_free_limit": self._set_disk_free_limit,
        }

    async def _set_memory_limit(self, request: Answer) -> Answer:
        self._limits.memory = await _read(memory_limit, request)
        return {}

    async def _set_disk_free_limit(self, request: Answer) -> Answer:
        self._limits.disk_free = await _read(disk_free_limit, request)
        return {}


async def _read(read: Callable[[Any], Limit], request: Answer) -> Limit:
    await trio.lowlevel.checkpoint()
    try:
        limit = read(ask(request, "limit", object))
    except ValueError as error:
        raise Refused("invalid", str(error)) from error
    log.info("event=limit_set request=%s limit=%s", request["do"], limit)
    return limit
