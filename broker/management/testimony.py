"""What one node tells of itself, its clients and the queues it is master of, when it is asked.

Decides what is told, and in which pieces it is gathered, so that messages have their turns. It must not know who asks,
nor how it is shown.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import trio

from broker.management.counted import Counted, Instants, of_history
from broker.management.depths import Sounding
from broker.management.history import Values
from broker.management.ledger import QUEUE_FIGURES, Ledger, Shelf, figures_of
from broker.management.sampler import CHANNEL_FIGURES, Sampler
from broker.meters.meters import AMQP
from broker.world.process import descriptors_max, open_descriptors

if TYPE_CHECKING:
    from broker.vhosts.hall import Hall
    from broker.vhosts.local import Local

QUEUES_PER_TURN: Final = 200
"""What takes about 2 ms."""

CHURN: Final = (
    "connection_created",
    "connection_closed",
    "channel_created",
    "channel_closed",
    "queue_declared",
    "queue_created",
    "queue_deleted",
)
GAUGES: Final = ("mem_used", "fd_used", "sockets_used", "proc_used", "disk_free")
DISK: Final = ("io_read_count", "io_read_bytes", "io_write_count", "io_write_bytes", "io_sync_count")
OWN_FIGURES: Final = (*CHURN, *GAUGES, *DISK)
NODE_FIGURES: Final = (*CHANNEL_FIGURES, *OWN_FIGURES)

Figures = dict[str, Any]
Look = Callable[["Local"], Any]


class Column(NamedTuple):
    """One number of a queue: the sum of some of QUEUE_FIGURES, now or per second, or else of its statistics."""

    names: Sequence[str]
    rate: bool = False

    @property
    def places(self) -> list[int]:
        """Of the names among QUEUE_FIGURES; none if they are others."""
        return [QUEUE_FIGURES.index(name) for name in self.names if name in QUEUE_FIGURES]


class Facts(Protocol):
    """What a node says of its own process."""

    def status(self, *, queues: bool) -> dict[str, Any]:
        """Its state, pid, role, epoch, addresses (`amqp`, `http`, `link`), `uptime_s`, `memory_bytes`, `cut_from`,
        `parted_from`."""

    def told(self) -> dict[str, Any]:
        """`data_folder`, `config_file` and the files of `certificates`."""


class Testimony:
    """One per life of a node."""

    def __init__(self, hall: "Hall", facts: Facts) -> None:
        self._hall = hall
        self._facts = facts
        self._ledger = Ledger(lambda: hall.guests.locals, self._vhost_of)
        self.sampler = Sampler(hall, self._ledger, self._own_figures, len(OWN_FIGURES))
        self._parts: dict[str, Callable[[Figures], Any]] = {
            "facts": lambda asked: self.here(),
            "node": self._node,
            "links": self._links,
            "forget": lambda asked: self.sampler.forget(),
            "logins": self._logins,
            "memory": self._memory,
            "sums": self._sums,
            "queues": self._queues,
            "clients": self._clients,
        }

    def here(self) -> Figures:
        """This node's own facts; `alarms` names the resources that run short."""
        alarms, presences = self._hall.alarms, self._hall.roster.presences.values()
        found: Figures = {"processors": os.cpu_count(), "alarms": alarms.look(), **alarms.figures()}
        found |= {"connections": len(presences), "channels": sum([one.channel_count for one in presences])}
        statistics = trio.lowlevel.current_statistics()
        found |= {"fd_total": descriptors_max(), "run_queue": statistics.tasks_runnable, "told": self._told()}
        found |= {"mechanisms": list(self._hall.logins.offered), "disk_s": self._disk_s()}
        return {**self._facts.status(queues=False), **found}

    def _told(self) -> Figures:
        told = self._facts.told()
        return {name: told[name] for name in ("data_folder", "config_file", "certificates")}

    def _disk_s(self) -> Figures:
        """How long the disk took, on average."""
        disk = self._hall.meters.disk
        named = ("read", disk.read_s), ("write", disk.write_s), ("sync", disk.sync_s)
        return {name: histogram.sum / max(1, histogram.count) for name, histogram in named}

    async def answer(self, asked: Figures) -> Figures:
        """Whatever of the parts is asked for."""
        found: Figures = {}
        for name, part in self._parts.items():
            if name in asked:
                told = part(asked)
                found[name] = await told if hasattr(told, "__await__") else told
        return found

    def _vhost_of(self, queue_id: int) -> str | None:
        handle = self._hall.catalogue.handles.get(queue_id)
        return None if handle is None or handle.delays else handle.record.vhost

    def _own_figures(self) -> Values:
        meters, traffic = self._hall.meters, self._hall.meters.traffic[AMQP]
        churn, disk = meters.churn, meters.disk
        return (
            churn.connections_opened,
            churn.connections_closed,
            traffic.channels_opened,
            traffic.channels_closed,
            churn.queues_declared,
            churn.queues_created,
            churn.queues_deleted,
            self._facts.status(queues=False)["memory_bytes"],
            open_descriptors(),
            len(self._hall.roster.presences),
            trio.lowlevel.current_statistics().tasks_living,
            self._hall.alarms.figures()["disk_free"],
            disk.read_s.count,
            disk.read_bytes,
            disk.write_s.count + disk.sync_s.count,
            disk.write_bytes,
            disk.sync_s.count,
        )

    # ------------------------------------------------------------------ what was counted

    def _past(self, values: Values, shelf: "Shelf[Any]", key: Any, instants: Instants) -> Counted:
        return of_history(values, shelf.histories.get(key), self._now_ms, instants)

    @property
    def _now_ms(self) -> int:
        return self._hall.switchboard.stamp_ms

    async def _node(self, asked: Figures) -> Counted:
        values = (*await self.sampler.traffic(), *self._own_figures())
        return of_history(values, self.sampler.node, self._now_ms, asked["instants"])

    def _links(self, asked: Figures) -> list[tuple[str, str, Counted]]:
        links, shelf = self._hall.switchboard.links, self.sampler.links
        told = [(peer, links.address(peer), links.octets(peer)) for peer in sorted(links.names)]
        return [(peer, address, self._past(octets, shelf, peer, asked["instants"])) for peer, address, octets in told]

    def _logins(self, asked: Figures) -> list[tuple[str, int, int]]:
        return [(protocol, one.accepted, one.refused) for protocol, one in self._hall.meters.logins.items()]

    async def _memory(self, asked: Figures) -> dict[str, int]:
        """What is known of this process's memory, in bytes."""
        hall = self._hall
        masters = [local.queue for local in hall.guests.locals.values()]
        return {
            "queue_procs": await _resident_bytes(masters),
            "queue_slave_procs": await _resident_bytes(list(hall.mirrors.mirrors.values())),
            "connection_writers": sum([one.pending_bytes for one in hall.roster.presences.values()]),
            "journal": hall.switchboard.journal.backlog_bytes,
            "mgmt_db": self.sampler.memory_bytes,
            "rss": self._facts.status(queues=False)["memory_bytes"],
        }

    async def _sums(self, asked: Figures) -> dict[str, Counted]:
        vhosts, instants = self._ledger.vhosts, asked["instants"]
        return {
            vhost: self._past(values, vhosts, vhost, instants) for vhost, values in (await self._ledger.sums()).items()
        }

    async def _queues(self, asked: Figures) -> list[tuple[int, Any]]:
        locals_, told = self._hall.guests.locals, []
        look = self._figure(Column(*asked["column"])) if "column" in asked else self._queue(asked["instants"])
        for start in range(0, len(asked["queues"]), QUEUES_PER_TURN):
            await trio.lowlevel.checkpoint()
            for number in asked["queues"][start : start + QUEUES_PER_TURN]:
                local = locals_.get(number)
                if local is not None:
                    told.append((number, look(local)))
        return told

    def _queue(self, instants: Instants) -> Look:
        sounding, histories, now_ms = Sounding(), self._ledger.queues.histories, self._now_ms

        def look(local: "Local") -> Figures:
            queue = local.queue
            found = {**local.statistics(), **sounding.take(queue, durable=local.master.copy.durable)}
            found |= {"next_position": queue.next_position, "resident_bytes": queue.resident_bytes}
            history = histories.get(local.queue_id)
            if history is not None:
                found["idle_since_ms"] = history.idle_since_ms(now_ms)
            if instants or (history is not None and any(history.rates(now_ms))):
                found["past"] = of_history(figures_of(local), history, now_ms, instants)
            return found

        return look

    def _figure(self, column: Column) -> Look:
        ledger, places, now_ms = self._ledger, column.places, self._now_ms

        def statistic(local: "Local") -> int:
            statistics = local.queue.statistics()
            return sum([statistics[name] for name in column.names])

        def figure(local: "Local") -> int:
            figures = ledger.figures(local.queue_id, local)
            return sum([figures[place] for place in places])

        def rate(local: "Local") -> float:
            history = ledger.queues.histories.get(local.queue_id)
            if history is None or history.idle_since_ms(now_ms) is not None:
                return 0.0
            rates = history.rates(now_ms)
            return sum([rates[place] for place in places])

        return rate if column.rate else figure if places else statistic

    def _clients(self, asked: Figures) -> list[tuple[str, Counted, int | None]]:
        sampler = self.sampler
        shelf = sampler.connections if asked["clients"] == "connections" else sampler.channels
        told = []
        for key in asked["keys"]:
            history = shelf.histories.get(key)
            if history is not None and history.newest is not None:
                past = of_history(history.newest, history, self._now_ms, asked["instants"])
                told.append((key, past, history.idle_since_ms(self._now_ms)))
        return told


async def _resident_bytes(holders: "Sequence[Any]") -> int:
    """What queues or mirrors have in memory; many leave others their turns."""
    total = 0
    for start in range(0, len(holders), QUEUES_PER_TURN):
        await trio.lowlevel.checkpoint()
        total += sum([holder.resident_bytes for holder in holders[start : start + QUEUES_PER_TURN]])
    return total
