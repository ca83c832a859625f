"""What RabbitMQ does not tell: promotions, agreement, links, partitions, how long syncs take. And the few metrics that
are of the whole cluster.

Decides names. It must not know how agreement or links work.
"""

from typing import Final

import trio

from broker.cluster import schema
from broker.management.metrics.exposition import Family, Row, labels
from broker.management.metrics.group import Group, Scrape
from broker.management.visit import rabbit

OURS: Final = "warren_"
CLUSTER: Final = "rabbitmq_cluster_"
_COUNTER: Final = 0xFFFFFFFF
"""The part of a zxid that is not the epoch."""


async def _promotions(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    found = {**dict.fromkeys(("kill", "silence", "stop", "operator"), 0), **scrape.hall.meters.promotions.by_cause}
    return [Row(labels(cause=cause), (count,)) for cause, count in found.items()]


async def _promoted(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    promotions = scrape.hall.meters.promotions
    return [Row("", (promotions.seconds, promotions.missing))]


async def _syncs(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    return [Row("", (scrape.hall.meters.disk.sync_s,))]


async def _agreement(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    facts, zxid = scrape.facts, scrape.hall.tree.tree.zxid
    return [Row("", (facts["epoch"], zxid, zxid & _COUNTER, int(facts["role"] == "leader")))]


async def _partitions(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    return [Row("", (len({*scrape.facts["cut_from"], *scrape.facts["parted_from"]}),))]


async def _links(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    links = scrape.hall.switchboard.links
    return [
        Row(
            labels(peer=rabbit(peer), lane=lane),
            (int(links.is_up(peer, lane)), links.backlog_bytes(peer, lane)),
        )
        for peer in scrape.hall.peers
        for lane in ("control", "data")
    ]


async def _vhosts(scrape: Scrape) -> list[Row]:
    await trio.lowlevel.checkpoint()
    served = scrape.hall.catalogue.vhosts
    names = [record.name for record in schema.vhosts(scrape.hall.tree.tree) if scrape.wants(record.name)]
    return [Row(labels(vhost=name), (int(name in served),)) for name in names]


async def _exchanges(scrape: Scrape, *, counted: bool) -> list[Row]:
    tree = scrape.hall.tree.tree
    rows = []
    for vhost in schema.vhosts(tree):
        await trio.lowlevel.checkpoint()
        if not scrape.wants(vhost.name):
            continue
        bindings: dict[str, int] = {}
        for binding in schema.bindings(tree, vhost.name) if counted else ():
            bindings[binding.source] = bindings.get(binding.source, 0) + 1
        for exchange in schema.exchanges(tree, vhost.name):
            if exchange.name:
                text = labels(vhost=vhost.name, exchange=exchange.name, type=exchange.kind)
                rows.append(Row(text, (bindings.get(exchange.name, 0) if counted else 1,)))
    return rows


async def _exchange_names(scrape: Scrape) -> list[Row]:
    return await _exchanges(scrape, counted=False)


async def _exchange_bindings(scrape: Scrape) -> list[Row]:
    return await _exchanges(scrape, counted=True)


PROMOTIONS = Group(
    "queue_promotion_metrics",
    (Family("queue_promotions_total", "counter", "Queues whose master came to this node from another one."),),
    _promotions,
    _promotions,
)
PARTITIONS = Group(
    "partition_metrics",
    (Family("cluster_partitions", "gauge", "Nodes that this one is parted from."),),
    _partitions,
    _partitions,
)
PROMOTED = Group(
    "queue_promotion_metrics",
    (
        Family("promotion_seconds", "histogram", "From the loss of the old master, as seen here, to the promotion."),
        Family("promotion_missing_messages_total", "counter", "Messages lost by promotions, as far as known."),
    ),
    _promoted,
    _promoted,
    OURS,
)
SYNCS = Group(
    "sync_metrics",
    (Family("fsync_latency_seconds", "histogram", "Until a write to a log was durable."),),
    _syncs,
    _syncs,
    OURS,
)
AGREEMENT = Group(
    "zab_metrics",
    (
        Family("zab_epoch", "gauge", "The epoch that this node follows."),
        Family("zab_zxid", "gauge", "The last transaction that this node has applied."),
        Family("zab_transactions_total", "counter", "Transactions of this epoch that this node has applied."),
        Family("zab_leader", "gauge", "1 if this node leads."),
    ),
    _agreement,
    _agreement,
    OURS,
)
LINKS = Group(
    "link_metrics",
    (
        Family("link_up", "gauge", "1 if there is a connection to that node."),
        Family("link_backlog_bytes", "gauge", "What waits to be sent to that node."),
    ),
    _links,
    _links,
    OURS,
)
VHOSTS = Group(
    "vhost_status",
    (Family("vhost_status", "gauge", "1 if the virtual host is served."),),
    _vhosts,
    _vhosts,
    CLUSTER,
)
EXCHANGE_NAMES = Group(
    "exchange_names",
    (Family("exchange_name", "gauge", "Every exchange; the value tells nothing."),),
    _exchange_names,
    _exchange_names,
    CLUSTER,
)
EXCHANGE_BINDINGS = Group(
    "exchange_bindings",
    (Family("exchange_bindings", "gauge", "Bindings from every exchange."),),
    _exchange_bindings,
    _exchange_bindings,
    CLUSTER,
)
