"""/api/bindings, and the rows of list_bindings.

Decides `properties_key`, the name under which a binding is found between its two ends.
"""

import json
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from broker.cluster import schema
from broker.cluster.arguments import from_json, to_plain
from broker.cluster.records import BindingRecord, QueueRecord
from broker.management.listing import Listing, Row, rows_of
from broker.management.tree_records import read_all

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.management.census import Census
    from broker.vhosts.hall import Hall


async def listing(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
    """The bindings of these vhosts."""
    tree = hall.tree.tree
    records: list[BindingRecord] = []
    for vhost in vhosts:
        records += map(_of_default_exchange, await census.queues.of([vhost]))
        records += await read_all(tree, BindingRecord, [vhost], "bindings")
    return Listing(await rows_of(records, described))


def all_of(tree: "Tree", vhost: str) -> Iterator[BindingRecord]:
    """Those of the default exchange, which has each queue under its name, and those that were made."""
    yield from map(_of_default_exchange, schema.queues(tree, vhost))
    yield from schema.bindings(tree, vhost)


def _of_default_exchange(queue: QueueRecord) -> BindingRecord:
    return BindingRecord(queue.vhost, "", "queue", queue.name, queue.name)


def properties_key(key: str, arguments: dict[str, Any]) -> str:
    """`~` for an empty key without arguments; arguments add a digest of theirs."""
    quoted = quote_plus(key, safe="").replace("~", "%7E")
    if not arguments:
        return quoted or "~"
    digest = blake2b(json.dumps(arguments, sort_keys=True).encode(), digest_size=12).hexdigest()
    return f"{quoted}~{digest}"


def described(record: BindingRecord) -> Row:
    """One binding."""
    arguments = to_plain(from_json(record.arguments))
    return {
        "source": record.source,
        "vhost": record.vhost,
        "destination": record.destination,
        "destination_type": record.destination_kind,
        "routing_key": record.key,
        "arguments": arguments,
        "properties_key": properties_key(record.key, arguments),
    }
