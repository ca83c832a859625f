"""The node itself: who it is, what its process and its disk use, who came and went.

Decides names, types and what RabbitMQ's figures mean here. It must not know queues or clients.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from broker.cluster import schema
from broker.management.metrics.exposition import Family, Row, Value, labels
from broker.management.metrics.group import Group, Scrape
from broker.management.visit import rabbit
from broker.world.process import descriptors_max, open_descriptors

Look = Callable[[Scrape], Awaitable[list[Row]]]

SOCKETS_SHARE: Final = 0.9
"""Of the descriptors that a process may have: some are files."""


def _of_node(name: str, families: Sequence[Family], values: Callable[[Scrape], Sequence[Value]]) -> Group:
    async def look(scrape: Scrape) -> list[Row]:
        await trio.lowlevel.checkpoint()
        return [Row("", values(scrape))]

    return Group(name, tuple(families), look, look)


async def _build(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    properties = scrape.hall.server_properties
    version = properties["version"]
    text = labels(
        rabbitmq_version=version,
        prometheus_plugin_version=version,
        prometheus_client_version="",
        erlang_version="",
        product_name="Warren",
        product_version=properties["platform"],
    )
    return [Row(text, (1,))]


async def _identity(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    record = schema.cluster(scrape.hall.tree.tree)
    text = labels(
        rabbitmq_node=rabbit(scrape.hall.life.node),
        rabbitmq_cluster=scrape.hall.server_properties["cluster_name"],
        rabbitmq_cluster_permanent_id="" if record is None else f"rabbitmq-cluster-id-{record.id}",
    )
    return [Row(text, (1,))]


def _alarms(scrape: Scrape) -> Sequence[Value]:
    short = scrape.facts["alarms"]
    return 0, int("disk" in short), int("memory" in short)


def _coarse(scrape: Scrape) -> Sequence[Value]:
    facts = scrape.facts
    return open_descriptors(), len(scrape.hall.roster.presences), facts["memory_bytes"], facts["disk_free"]


def _limits(scrape: Scrape) -> Sequence[Value]:
    facts, use = scrape.facts, scrape.hall.meters.disk
    files = descriptors_max()
    limits = files, int(files * SOCKETS_SHARE), facts["mem_limit"], facts["disk_free_limit"]
    reads, writes, syncs = use.read_s, use.write_s, use.sync_s
    return (
        *limits,
        facts["net_ticktime_s"],
        facts["uptime_s"],
        reads.count,
        use.read_bytes,
        writes.count + syncs.count,
        use.write_bytes,
        syncs.count,
        reads.sum,
        writes.sum,
        syncs.sum,
    )


def _churn(scrape: Scrape) -> Sequence[Value]:
    churn, traffic = scrape.hall.meters.churn, scrape.hall.meters.traffic.values()
    return (
        churn.connections_opened,
        churn.connections_closed,
        sum(one.channels_opened for one in traffic),
        sum(one.channels_closed for one in traffic),
        churn.queues_declared,
        churn.queues_created,
        churn.queues_deleted,
    )


async def _logins(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    return [
        Row(labels(protocol=protocol), (one.accepted + one.refused, one.accepted, one.refused))
        for protocol, one in scrape.hall.meters.logins.items()
    ]


def _objects(scrape: Scrape) -> Sequence[Value]:
    traffic = scrape.hall.meters.traffic.values()
    return (
        len(scrape.hall.roster.presences),
        sum(len(one.channels) for one in traffic),
        sum(one.consumers for one in traffic),
        scrape.hall.guests.totals.queues,
    )


_BUILD = (Family("build_info", "untyped", "Versions; RabbitMQ's is the one that this node speaks like."),)
_IDENTITY = (Family("identity_info", "untyped", "The node and its cluster."),)
IDENTITY = (Group("", _BUILD, _build, _build), Group("", _IDENTITY, _identity, _identity))
"""On every page: others are joined to them."""

ALARMS = _of_node(
    "",
    (
        Family("alarms_file_descriptor_limit", "untyped", "1 if a limit of file descriptors was reached: never here."),
        Family("alarms_free_disk_space_watermark", "untyped", "1 if there is too little room on the disk."),
        Family("alarms_memory_used_watermark", "untyped", "1 if too much memory is used."),
    ),
    _alarms,
)
CHURN = _of_node(
    "connection_churn_metrics",
    (
        Family("connections_opened_total", "counter", "Connections that were opened."),
        Family("connections_closed_total", "counter", "Connections that have ended."),
        Family("channels_opened_total", "counter", "Channels that were opened."),
        Family("channels_closed_total", "counter", "Channels that have ended."),
        Family("queues_declared_total", "counter", "Declarations by clients of this node, also of queues that exist."),
        Family("queues_created_total", "counter", "Queues that were created with their master on this node."),
        Family("queues_deleted_total", "counter", "Queues that were deleted with their master on this node."),
    ),
    _churn,
)
COARSE = _of_node(
    "node_coarse_metrics",
    (
        Family("process_open_fds", "gauge", "Open file descriptors."),
        Family("process_open_tcp_sockets", "gauge", "Connections of clients."),
        Family("process_resident_memory_bytes", "gauge", "Memory in use."),
        Family("disk_space_available_bytes", "gauge", "Room on the disk."),
    ),
    _coarse,
)
LIMITS = _of_node(
    "node_metrics",
    (
        Family("process_max_fds", "gauge", "Limit of open file descriptors."),
        Family("process_max_tcp_sockets", "gauge", "About how many of them may be sockets."),
        Family("resident_memory_limit_bytes", "gauge", "Above this much memory publishers wait."),
        Family("disk_space_available_limit_bytes", "gauge", "Below this much room publishers wait."),
        Family("erlang_net_ticktime_seconds", "gauge", "After so long a silence a node counts as down."),
        Family("erlang_uptime_seconds", "gauge", "How long the node runs; the name is RabbitMQ's."),
        Family("io_read_ops_total", "counter", "Reads of files."),
        Family("io_read_bytes_total", "counter", "Bytes that were read."),
        Family("io_write_ops_total", "counter", "Writes to the logs."),
        Family("io_write_bytes_total", "counter", "Bytes that were written to the logs."),
        Family("io_sync_ops_total", "counter", "Syncs of the logs."),
        Family("io_read_time_seconds_total", "counter", "Time that reads took."),
        Family("io_write_time_seconds_total", "counter", "Time that writes without a sync took."),
        Family("io_sync_time_seconds_total", "counter", "Time that writes with a sync, and syncs, took."),
    ),
    _limits,
)
LOGINS = Group(
    "auth_attempt_metrics",
    (
        Family("auth_attempts_total", "counter", "Attempts to log in."),
        Family("auth_attempts_succeeded_total", "counter", "Attempts to log in that succeeded."),
        Family("auth_attempts_failed_total", "counter", "Attempts to log in that were refused."),
    ),
    _logins,
    _logins,
)
OBJECTS = _of_node(
    "",
    (
        Family("connections", "gauge", "Open connections."),
        Family("channels", "gauge", "Open channels."),
        Family("consumers", "gauge", "Consumers of clients of this node."),
        Family("queues", "gauge", "Queues with their master on this node."),
    ),
    _objects,
)
