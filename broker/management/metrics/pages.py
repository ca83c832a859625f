"""/metrics, /metrics/per-object and /metrics/detailed: which groups are on which page, and under which names.

Decides what a page is made of. It must not know what any metric means. Source: RabbitMQ 3.10,
`prometheus_rabbitmq_core_metrics_collector`. Nobody has to log in: a page names objects, but no users.
"""

from contextlib import nullcontext
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import trio

from broker.management.metrics import clients, cluster, node, queues, traffic
from broker.management.metrics.exposition import CONTENT_TYPE, exposed
from broker.management.metrics.group import Group, Scrape
from broker.management.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.management.visit import Visit

PREFIX: Final = "rabbitmq_"
DETAILED: Final = "detailed_"

NODE: Final[tuple[Group, ...]] = (
    node.ALARMS,
    node.CHURN,
    node.COARSE,
    node.LIMITS,
    node.LOGINS,
    queues.COARSE,
    queues.CONSUMERS,
    queues.FINE,
    queues.LYING,
    queues.GIVEN,
    queues.MIRRORS,
    queues.MISSING,
    clients.CHANNELS,
    clients.PUBLISHED,
    clients.GOT,
    clients.CONNECTIONS_COARSE,
    clients.CONNECTIONS,
    queues.PUBLISHED,
    node.OBJECTS,
    traffic.USERS,
    traffic.RECEIVED,
    traffic.DELIVERED,
    traffic.DEATHS,
    cluster.PROMOTIONS,
    cluster.PARTITIONS,
    cluster.PROMOTED,
    cluster.AGREEMENT,
    cluster.LINKS,
    cluster.SYNCS,
    traffic.CONFIRMS,
)
"""In RabbitMQ's order; ours at the end."""
WHOLE_CLUSTER: Final = (cluster.VHOSTS, cluster.EXCHANGE_NAMES, cluster.EXCHANGE_BINDINGS)

_LARGE: Final = trio.CapacityLimiter(1)
"""Pages of all objects are made one after the other: where there are many they are large, and anybody may ask."""


async def whole(visit: "Visit") -> Reply:
    """GET /metrics: the node; every object, too, if `prometheus.return_per_object_metrics` says so."""
    scrape = Scrape(visit.hall, visit.census)
    return await _page(scrape, NODE, each=scrape.facts["per_object_metrics"])


async def per_object(visit: "Visit") -> Reply:
    """GET /metrics/per-object: the node, and every object."""
    return await _page(Scrape(visit.hall, visit.census), NODE, each=True)


async def detailed(visit: "Visit") -> Reply:
    """GET /metrics/detailed: every object, as far as `family` and `vhost` ask for it."""
    wanted, vhosts = frozenset(visit.all_of("family")), visit.all_of("vhost")
    groups = [group for group in (*NODE, *WHOLE_CLUSTER) if group.name in wanted and group.name]
    scrape = Scrape(visit.hall, visit.census, frozenset(vhosts) if vhosts else None)
    return await _page(scrape, groups, each=True, more=DETAILED)


def dashboard(visit: "Visit") -> Reply:
    """GET /metrics/grafana.json: a dashboard of all this, ready for Grafana."""
    text = files("broker.management").joinpath("grafana.json").read_bytes()
    return Reply(200, text, {"content-type": "application/json"})


async def _page(scrape: Scrape, groups: "Iterable[Group]", *, each: bool, more: str = "") -> Reply:
    async with _LARGE if each else nullcontext():
        pieces = await _told(scrape, groups, each=each, more=more)
    for group in node.IDENTITY:
        pieces += await exposed(PREFIX, group.families, await group.totals(scrape))
    return Reply(200, b"".join(pieces), {"content-type": CONTENT_TYPE})


async def _told(scrape: Scrape, groups: "Iterable[Group]", *, each: bool, more: str) -> list[bytes]:
    pieces: list[bytes] = []
    await scrape.hall.guests.totals.count()
    for group in groups:
        prefix = group.prefix or PREFIX
        if prefix != cluster.CLUSTER:
            prefix += more
        rows = await (group.each if each else group.totals)(scrape)
        pieces += await exposed(prefix, group.families, rows)
    return pieces
