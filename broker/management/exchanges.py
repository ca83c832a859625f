"""/api/exchanges, and the rows of list_exchanges."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.cluster.arguments import from_json, to_plain
from broker.management.listing import Listing, Row, rows_of
from broker.routing.delayed import delay_queue
from broker.routing.kinds import DELAYED

if TYPE_CHECKING:
    from broker.cluster.records import ExchangeRecord
    from broker.management.census import Census
    from broker.vhosts.hall import Hall


async def listing(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
    """The exchanges of these vhosts, the default exchange of each first; delayed ones tell how much waits."""
    tree = hall.tree.tree
    records = [record for vhost in vhosts for record in schema.exchanges(tree, vhost)]
    names = [(record.vhost, delay_queue(record.name)) for record in records if record.kind == DELAYED]
    waiting = [queue for name in names if (queue := schema.queue(tree, *name)) is not None]
    figures, silent = await census.count(waiting)
    delayed = {(queue.vhost, queue.delays): figures[queue.id] for queue in waiting if queue.id in figures}
    rows = await rows_of(records, described)
    for row in rows:
        if (row["vhost"], row["name"]) in delayed:
            row["messages_delayed"] = delayed[row["vhost"], row["name"]]["messages"]
    return Listing(rows, silent)


def described(record: "ExchangeRecord") -> Row:
    """One exchange."""
    exchange = {
        "name": record.name,
        "vhost": record.vhost,
        "type": record.kind,
        "durable": record.durable,
        "auto_delete": record.auto_delete,
        "internal": record.internal,
        "arguments": to_plain(from_json(record.arguments)),
    }
    return exchange if record.policy is None else {**exchange, "policy": record.policy}
