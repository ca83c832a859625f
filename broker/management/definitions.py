"""What a cluster has been told, as one JSON object in RabbitMQ's format: who may do what, and what is declared.

Decides the format and what stays out of it: exclusive queues, what every virtual host has anyway, and what is internal.
It must not know how definitions come in (`definition_import`). Source: RabbitMQ 3.10, `rabbit_definitions`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from broker.cluster import schema
from broker.cluster.arguments import from_json, to_plain
from broker.cluster.procedures.parameters import LIMITS_NAME, OPERATOR_POLICY, VHOST_LIMITS
from broker.cluster.records import VhostRecord
from broker.cluster.refusal import Refused
from broker.management import bindings, exchanges, global_parameters, permissions, policies, users, vhosts
from broker.management.listing import Row

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.vhosts.hall import Hall

RESERVED = "amq."

EXCHANGE_FIELDS = ("name", "vhost", "type", "durable", "auto_delete", "internal", "arguments")
BINDING_FIELDS = ("source", "vhost", "destination", "destination_type", "routing_key", "arguments")

Definitions = dict[str, Any]


def export(hall: "Hall", vhost: str | None = None) -> Definitions:
    """Everything, or what is in one virtual host: then without users, and no object names it. Raises Refused."""
    tree = hall.tree.tree
    product, version = hall.server_properties["product"], hall.server_properties["version"]
    head = {"rabbit_version": version, "rabbitmq_version": version, "product_name": product, "product_version": version}
    if vhost is not None:
        if schema.vhost(tree, vhost) is None:
            raise Refused("not_found", f"Virtual host '{vhost}' does not exist")
        return {**head, **{kind: _without_vhost(rows) for kind, rows in _inside(tree, [vhost]).items()}}
    names = [record.name for record in schema.vhosts(tree)]
    return {
        **head,
        "users": users.rows(tree),
        "vhosts": [_vhost(record) for record in vhosts.records(tree, names)],
        "permissions": permissions.rows(tree, names),
        "topic_permissions": permissions.topic_rows(tree, names),
        "global_parameters": global_parameters.defined(tree),
        **_inside(tree, names),
    }


def _inside(tree: "Tree", names: list[str]) -> dict[str, list[Row]]:
    return {
        "parameters": parameters(tree, names),
        "policies": policies.rows(tree, names),
        "queues": [row for name in names for row in _queues(tree, name)],
        "exchanges": [row for name in names for row in _exchanges(tree, name)],
        "bindings": [row for name in names for row in _bindings(tree, name)],
    }


def _without_vhost(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "vhost"} for row in rows]


def _vhost(record: VhostRecord) -> Row:
    # Limits are pairs here, and the parameters below say them again: that is what RabbitMQ reads.
    limits = [[name, value] for name, value in record.limits.items()]
    return {"name": record.name, "limits": limits, "metadata": vhosts.described(record)}


def parameters(tree: "Tree", names: Sequence[str]) -> list[Row]:
    """The parameters of components in these virtual hosts."""
    limits = [
        {"vhost": record.name, "component": VHOST_LIMITS, "name": LIMITS_NAME, "value": dict(record.limits)}
        for record in vhosts.records(tree, names)
        if record.limits
    ]
    imposed = []
    for row in policies.operator_rows(tree, names):
        value = _only(("pattern", "apply-to", "definition", "priority"), row)
        imposed.append({"vhost": row["vhost"], "component": OPERATOR_POLICY, "name": row["name"], "value": value})
    return limits + imposed


def _queues(tree: "Tree", vhost: str) -> list[Row]:
    return [
        {
            "name": record.name,
            "vhost": vhost,
            "type": str(record.arguments.get("x-queue-type", "classic")),
            "durable": record.durable,
            "auto_delete": record.auto_delete,
            "arguments": to_plain(from_json(record.arguments)),
        }
        for record in schema.queues(tree, vhost)
        if record.exclusive is None
    ]


def _exchanges(tree: "Tree", vhost: str) -> list[Row]:
    return [
        _only(EXCHANGE_FIELDS, exchanges.described(record))
        for record in schema.exchanges(tree, vhost)
        if record.name and not record.name.startswith(RESERVED) and not record.internal
    ]


def _bindings(tree: "Tree", vhost: str) -> list[Row]:
    hidden = {record.name for record in schema.queues(tree, vhost) if record.exclusive is not None}
    return [
        _only(BINDING_FIELDS, bindings.described(record))
        for record in schema.bindings(tree, vhost)
        if record.destination_kind != "queue" or record.destination not in hidden
    ]


def _only(fields: Sequence[str], row: Row) -> Row:
    return {name: row[name] for name in fields}
