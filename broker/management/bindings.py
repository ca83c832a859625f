"""/api/bindings.

Decides `properties_key`, the name under which a binding is found between its two ends.
"""

import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from broker.cluster import schema
from broker.cluster.records import BindingRecord

if TYPE_CHECKING:
    from broker.management.visit import Visit


def listed(visit: "Visit") -> list[dict[str, Any]]:
    """All bindings, or those of a vhost."""
    return [_described(record) for vhost in visit.vhosts() for record in _all_of(visit, vhost)]


def _all_of(visit: "Visit", vhost: str) -> Iterator[BindingRecord]:
    """Those of the default exchange, which has each queue under its name, and those that were made."""
    for queue in schema.queues(visit.tree, vhost):
        yield BindingRecord(vhost, "", "queue", queue.name, queue.name)
    yield from schema.bindings(visit.tree, vhost)


def properties_key(key: str, arguments: dict[str, Any]) -> str:
    """`~` for an empty key without arguments; arguments add a digest of theirs."""
    quoted = quote(key, safe="").replace("~", "%7E")
    if not arguments:
        return quoted or "~"
    digest = blake2b(json.dumps(arguments, sort_keys=True).encode(), digest_size=12).hexdigest()
    return f"{quoted}~{digest}"


def _described(record: BindingRecord) -> dict[str, Any]:
    arguments = dict(record.arguments)
    return {
        "source": record.source,
        "vhost": record.vhost,
        "destination": record.destination,
        "destination_type": record.destination_kind,
        "routing_key": record.key,
        "arguments": arguments,
        "properties_key": properties_key(record.key, arguments),
    }
