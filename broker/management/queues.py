"""/api/queues, and the rows of list_queues: what stands in the tree, and what the masters count.

Decides the field names of a queue, and its state in RabbitMQ's words.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.cluster.arguments import from_json, to_plain
from broker.cluster.records import RUNNING, QueueRecord
from broker.management.census import NOW
from broker.management.counted import DELIVERIES, Counted, Instants, idle_since, lengths, message_stats
from broker.management.ledger import GAUGES, QUEUE_FIGURES
from broker.management.listing import Listing, Row, rows_of
from broker.management.refusals import NotFound
from broker.management.testimony import Column
from broker.management.visit import rabbit
from policies.quorum import is_quorum

if TYPE_CHECKING:
    from broker.cluster.records import Life, Owner
    from broker.management.census import Census
    from broker.management.testimony import Figures
    from broker.management.visit import Visit
    from broker.vhosts.hall import Hall

TOTALS = {"messages": "messages", "messages_ready": "messages_ready", "messages_unacknowledged": "messages_unacked"}
COUNTS = {
    **TOTALS,
    "message_bytes": "message_bytes",
    "message_bytes_ready": "message_bytes_ready",
    "message_bytes_unacknowledged": "message_bytes_unacked",
    "consumers": "consumers",
    "messages_paged_out": "messages_paged_out",
}
_IN_MEMORY = {
    "messages_ram": "messages",
    "messages_ready_ram": "messages_ready",
    "messages_unacknowledged_ram": "messages_unacked",
    "message_bytes_ram": "message_bytes",
}
"""What is in memory, where nothing is out of it."""
_SOUNDINGS = {
    "messages_persistent": "persistent",
    "message_bytes_persistent": "persistent_bytes",
    "head_message_timestamp": "head_timestamp",
    "exclusive_consumer_tag": "exclusive_consumer",
    "single_active_consumer_tag": "active_consumer",
}
_OURS = {
    "messages_ready": "messages_ready",
    "messages_unacknowledged": "messages_unacked",
    "consumers": "consumers",
    "publish": "published",
    "deliver": "delivered",
    "deliver_no_ack": "delivered_no_ack",
    "get": "got",
    "get_no_ack": "got_no_ack",
    "ack": "acked",
    "redeliver": "redelivered",
}
"""What has a history: RabbitMQ's name for it, and that of the queue's statistics."""
_ORDERED = [_OURS[name] for name in QUEUE_FIGURES]
_STILL = {f"{name}_details": {"rate": 0.0} for name in TOTALS}
_MESSAGES = ["messages_ready", "messages_unacknowledged"]
FIGURES: dict[str, Column] = {
    **{name: Column([ours]) for name, ours in COUNTS.items()},
    **{f"message_stats.{name}": Column([name]) for name in QUEUE_FIGURES[GAUGES:]},
    **{f"message_stats.{name}_details.rate": Column([name], rate=True) for name in QUEUE_FIGURES[GAUGES:]},
    **{name: Column([name]) for name in _MESSAGES},
    **{f"{name}_details.rate": Column([name], rate=True) for name in _MESSAGES},
    "messages": Column(_MESSAGES),
    "messages_details.rate": Column(_MESSAGES, rate=True),
    "message_stats.deliver_get": Column(DELIVERIES),
    "message_stats.deliver_get_details.rate": Column(DELIVERIES, rate=True),
}
"""What a master can tell of many queues at a time, by the way to the field."""


async def listing(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
    """The queues of these vhosts."""
    return await of_records(hall, census, await census.queues.of(vhosts))


async def of_records(
    hall: "Hall", census: "Census", records: "Sequence[QueueRecord]", silent: "Collection[str]" = ()
) -> Listing:
    """These queues; the nodes that were `silent` just now are not asked again."""
    figures, missing = await census.count([record for record in records if record.master.node not in silent])
    silent = {*silent, *missing}
    rows = await rows_of(records, lambda record: described(record, figures.get(record.id)))
    if any(row.get("exclusive_consumer_tag") or row.get("single_active_consumer_tag") for row in rows):
        silent |= await _name_consumers(hall, rows)
    return Listing(rows, silent)


async def single(visit: "Visit") -> Row:
    """One queue."""
    (vhost,) = visit.vhosts()
    record = schema.queue(visit.tree, vhost, visit.part("name"))
    if record is None:
        raise NotFound
    if visit.says("disable_stats"):
        return without_figures(record)
    found, silent = await visit.census.count([record], visit.instants)
    visit.silent.update(silent)
    figures = found.get(record.id)
    row = described(record, figures, visit.instants)
    if figures is None:
        return row
    # Which exchange and which channel a message came and went by is not counted, as in RabbitMQ's usual mode.
    return {**row, "incoming": [], "deliveries": [], **await _consumers(visit, record, figures)}


async def _consumers(visit: "Visit", record: QueueRecord, figures: "Figures") -> Row:
    if not figures["consumers"]:
        return {"consumer_details": []}
    rows, silent = await visit.hall.roster.survey("consumers")
    visit.silent.update(silent)
    wanted = {"name": record.name, "vhost": record.vhost}
    return {"consumer_details": [row for row in rows if row["queue"] == wanted]}


async def _name_consumers(hall: "Hall", rows: list[Row]) -> set[str]:
    """Say on which channel the consumer is that has a queue for itself: its own node knows."""
    consumers, silent = await hall.roster.survey("consumers")
    pids = {(one["queue"]["vhost"], one["queue"]["name"], one["consumer_tag"]): one["channel_pid"] for one in consumers}
    for row in rows:
        for kind in "exclusive", "single_active":
            pid = pids.get((row["vhost"], row["name"], row.get(f"{kind}_consumer_tag")))
            if pid is not None:
                row[f"{kind}_consumer_pid"] = pid
    return silent


def sync_messages(figures: "Figures") -> int | None:
    """How many messages the mirror has that lacks most of those that are being sent; None while none is filled."""
    most: int = max(figures["missing"].values(), default=0)
    return max(0, figures["messages"] - most) if most and figures["filling"] else None


def agreed_upon(record: "QueueRecord") -> Row:
    """What every node knows of a queue."""
    return {
        "name": record.name,
        "vhost": record.vhost,
        "type": record.arguments.get("x-queue-type", "classic"),
        "node": rabbit(record.master.node),
        "durable": record.durable,
        "auto_delete": record.auto_delete,
        "exclusive": record.exclusive is not None,
        "arguments": to_plain(from_json(record.arguments)) if record.arguments else {},
        "policy": record.policy,
        "operator_policy": record.operator_policy,
        "effective_policy_definition": dict(record.definition or {}),
    }


def without_figures(record: "QueueRecord") -> Row:
    """The same, with the state that follows from it."""
    return {**agreed_upon(record), "state": "running" if record.state == RUNNING else "down"}


def described(record: "QueueRecord", figures: "Figures | None", instants: Instants = NOW) -> Row:
    """One queue; `figures` are what its master counts, None if it does not answer."""
    queue = agreed_upon(record)
    queue["pid"] = _pid(record.master, record)
    queue["state"] = "down" if figures is None else "paused" if record.paused else "running"
    if record.exclusive is not None:
        queue |= _ownership(record.exclusive)
    if figures is None:
        return queue
    queue |= {name: figures[ours] for name, ours in COUNTS.items()}
    if paged_out := figures["messages_paged_out"]:
        queue["messages_ram"] = figures["messages"] - paged_out
    else:
        queue |= {name: figures[ours] for name, ours in _IN_MEMORY.items()}
    queue |= {name: figures[ours] for name, ours in _SOUNDINGS.items()}
    queue |= _inside(record, figures)
    queue |= _moving(figures, instants)
    if is_quorum(record.arguments):
        queue |= _membership(record)
    elif record.is_mirrored:
        queue |= _mirroring(record, figures)
    return queue


def _inside(record: "QueueRecord", figures: "Figures") -> Row:
    """What it takes: of RabbitMQ's words for that those that mean something here."""
    is_lazy = "lazy" in (record.arguments.get("x-queue-mode"), (record.definition or {}).get("queue-mode"))
    numbers = {"len": figures["messages_ready"], "next_seq_id": figures["next_position"]}
    return {
        "memory": figures["resident_bytes"],
        "backing_queue_status": {"mode": "lazy" if is_lazy else "default", **numbers},
    }


def _moving(figures: "Figures", instants: Instants) -> Row:
    """How fast, and what happened so far."""
    values = [figures[ours] for ours in _ORDERED]
    past = figures.get("past")
    counted = Counted(values, [0.0] * len(values)) if past is None else Counted(values, *past[1:])
    found: Row = dict(_STILL) if past is None else lengths(counted, instants)
    if any(values[GAUGES:]):
        found["message_stats"] = message_stats(counted, QUEUE_FIGURES, instants)
    if figures.get("idle_since_ms") is not None:
        found["idle_since"] = idle_since(figures["idle_since_ms"])
    return found


def _pid(life: "Life", record: "QueueRecord") -> str:
    """Where RabbitMQ has the process of a queue or a mirror, here is a copy: of this queue, in this life of a node."""
    return f"<{life.node}.{life.number}.{record.id}.0>"


def _ownership(owner: "Owner") -> Row:
    """The connection that an exclusive queue belongs to; its name says where it is from, and its number in its life."""
    name, _, serial = owner.connection.rpartition(" (")
    peer_host, _, peer_port = name.partition(" -> ")[0].rpartition(":")
    if not peer_port.isdecimal():
        return {}
    return {
        "owner_pid": f"<{owner.node}.{owner.life}.{serial.rstrip(')')}.0>",
        "owner_pid_details": {"name": name, "peer_host": peer_host, "peer_port": int(peer_port)},
    }


def _membership(record: "QueueRecord") -> Row:
    """A quorum queue's copies in the words for those."""
    online = dict.fromkeys(life.node for life in (record.master, *record.mirrors))
    members = dict.fromkeys((*online, *record.candidates))
    return {
        "leader": rabbit(record.master.node),
        "members": [rabbit(node) for node in members],
        "online": [rabbit(node) for node in online],
    }


def _mirroring(record: "QueueRecord", figures: "Figures") -> Row:
    mirrors = [life for life in record.mirrors if life != record.master]
    synchronised = [life for life in mirrors if life in record.in_sync]
    fields: Row = {
        "slave_nodes": [rabbit(life.node) for life in mirrors],
        "synchronised_slave_nodes": [rabbit(life.node) for life in synchronised],
        "slave_pids": [_pid(life, record) for life in mirrors],
        "synchronised_slave_pids": [_pid(life, record) for life in synchronised],
        "recoverable_slaves": [rabbit(node) for node in record.candidates] if record.durable else None,
    }
    lacking: Mapping[str, int] = figures["missing"]
    strangers = [life.node for life in mirrors if life not in synchronised]
    # Not RabbitMQ's: how much would be lost with the master, if one of these took over.
    fields["unsynchronised"] = {rabbit(node): lacking[node] for node in strangers if node in lacking}
    if (arrived := sync_messages(figures)) is not None:
        fields |= {"sync_messages": arrived} if record.paused else {"state": "syncing", "sync_messages": arrived}
    return fields
