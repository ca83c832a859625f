"""Requests about virtual hosts.

Decides what a virtual host begins with and that nothing of it stays. It must not know what its exchanges do. Source:
RabbitMQ 3.10, `rabbit_vhost`.
"""

from broker.cluster import schema
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.limits import check_limits
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


VHOST_LIMITS = ("max-connections", "max-queues")


def put_vhost(draft: Draft) -> Answer:
    """A virtual host: name, description, tags, default_queue_type. Of one that exists only what is named changes.

    `new`: one that exists stays as it is. `exists`: refused if it does not.
    """
    name = draft.ask("name", str)
    if draft.ask("exists", bool, False):
        check_vhost(draft, name)
    present = schema.vhost(draft.overlay, name)
    if present is not None and draft.ask("new", bool, False):
        return {"created": False}
    record = present or VhostRecord(name)
    tags = tuple(str(tag) for tag in draft.ask("tags", list, list(record.tags)))
    record = record._replace(
        description=draft.ask("description", str, record.description),
        tags=tags,
        default_queue_type=draft.ask("default_queue_type", str, record.default_queue_type),
    )
    return {"created": write_vhost(draft, record)}


def delete_vhost(draft: Draft) -> Answer:
    """The virtual host goes with everything in it."""
    name = draft.ask("name", str)
    check_vhost(draft, name)
    for folder in schema.VHOST_FOLDERS:
        path = schema.vhost_path(name, folder)
        for child in draft.overlay.children(path):
            draft.overlay.delete(f"{path}/{child}")
        if draft.overlay.get(path) is not None:  # virtual hosts of earlier versions have fewer folders
            draft.overlay.delete(path)
    draft.overlay.delete(schema.vhost_path(name))
    return {"deleted": True}


def set_vhost_limits(draft: Draft) -> Answer:
    """How many connections and queues there may be: vhost, limits; in place of those that there were."""
    record = check_vhost(draft, draft.ask("vhost", str))
    limits = draft.ask("limits", dict)
    check_limits(limits, VHOST_LIMITS, "limits")
    draft.put(schema.vhost_path(record.name), record._replace(limits=limits))
    return {"changed": True}


def clear_vhost_limits(draft: Draft) -> Answer:
    """No limits: vhost. Raises Refused if there were none."""
    record = schema.vhost(draft.overlay, draft.ask("vhost", str))
    if record is None or not record.limits:
        raise Refused("not_found", "Parameter does not exist")
    draft.put(schema.vhost_path(record.name), record._replace(limits={}))
    return {"changed": True}


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


def check_vhost(draft: Draft, name: str) -> VhostRecord:
    """The virtual host of this name. Raises Refused `not_found`."""
    record = schema.vhost(draft.overlay, name)
    if record is None:
        raise Refused("not_found", f"vhost '{name}' not found")
    return record
