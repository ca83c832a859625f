"""/api/exchanges, and the rows of list_exchanges."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.cluster.arguments import to_plain
from broker.management.listing import Listing, Row, rows_of

if TYPE_CHECKING:
    from broker.cluster.records import ExchangeRecord
    from broker.management.census import Census
    from broker.vhosts.hall import Hall


async def listing(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
    """The exchanges of these vhosts, the default exchange of each first."""
    records = [record for vhost in vhosts for record in schema.exchanges(hall.tree.tree, vhost)]
    return Listing(await rows_of(records, described))


def described(record: "ExchangeRecord") -> Row:
    """One exchange."""
    exchange = {
        "name": record.name,
        "vhost": record.vhost,
        "type": record.kind,
        "durable": record.durable,
        "auto_delete": record.auto_delete,
        "internal": record.internal,
        "arguments": to_plain(record.arguments),
    }
    return exchange if record.policy is None else {**exchange, "policy": record.policy}
