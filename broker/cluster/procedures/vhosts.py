"""Requests about virtual hosts.

Decides what a virtual host begins with and that nothing of it stays. It must not know what its exchanges do. Source:
RabbitMQ 3.10, `rabbit_vhost`.
"""

from broker.cluster import schema
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.records import ExchangeRecord, VhostRecord
from broker.cluster.refusal import Refused

PREDECLARED = {
    "": "direct",
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.rabbitmq.trace": "topic",
    "amq.topic": "topic",
}
"""Name and type of the exchanges that every virtual host has."""
TRACE = "amq.rabbitmq.trace"


def put_vhost(draft: Draft) -> Answer:
    """A virtual host: name, description, tags."""
    tags = tuple(str(tag) for tag in draft.ask("tags", list, []))
    created = write_vhost(draft, VhostRecord(draft.ask("name", str), draft.ask("description", str, ""), tags))
    return {"created": created}


def delete_vhost(draft: Draft) -> Answer:
    """The virtual host goes with everything in it."""
    name = draft.ask("name", str)
    check_vhost(draft, name)
    for folder in schema.VHOST_FOLDERS:
        path = schema.vhost_path(name, folder)
        for child in draft.overlay.children(path):
            draft.overlay.delete(f"{path}/{child}")
        draft.overlay.delete(path)
    draft.overlay.delete(schema.vhost_path(name))
    return {"deleted": True}


def write_vhost(draft: Draft, record: VhostRecord) -> bool:
    """Write it, with its folders and exchanges if it is new; whether it is."""
    path = schema.vhost_path(record.name)
    created = draft.overlay.get(path) is None
    draft.put(path, record)
    if created:
        for folder in schema.VHOST_FOLDERS:
            draft.overlay.create(schema.vhost_path(record.name, folder), b"")
        for name, kind in PREDECLARED.items():
            exchange = ExchangeRecord(draft.zxid, record.name, name, kind, durable=True, internal=name == TRACE)
            draft.put(schema.exchange_path(record.name, name), exchange)
    return created


def check_vhost(draft: Draft, name: str) -> None:
    """Raises Refused `not_found` for a virtual host that there is not."""
    if draft.overlay.get(schema.vhost_path(name)) is None:
        raise Refused("not_found", f"vhost '{name}' not found")
