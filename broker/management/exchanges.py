"""/api/exchanges."""

from typing import TYPE_CHECKING, Any

from broker.cluster import schema

if TYPE_CHECKING:
    from broker.cluster.records import ExchangeRecord
    from broker.management.visit import Visit


def listed(visit: "Visit") -> list[dict[str, Any]]:
    """All exchanges, or those of a vhost, the default exchange first."""
    return [_described(record) for vhost in visit.vhosts() for record in schema.exchanges(visit.tree, vhost)]


def _described(record: "ExchangeRecord") -> dict[str, Any]:
    exchange = {
        "name": record.name,
        "vhost": record.vhost,
        "type": record.kind,
        "durable": record.durable,
        "auto_delete": record.auto_delete,
        "internal": record.internal,
        "arguments": dict(record.arguments),
    }
    return exchange if record.policy is None else {**exchange, "policy": record.policy}
