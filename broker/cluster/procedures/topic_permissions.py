"""Requests about the routing keys that users may publish and bind with.

Decides what is written where. It must not know how they are used. Source: RabbitMQ 3.10,
`rabbit_auth_backend_internal:set_topic_permissions`.
"""

from broker.cluster import schema
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.users import check_pattern, check_user
from broker.cluster.procedures.vhosts import check_vhost
from broker.cluster.records import TopicPermissionRecord


def put_topic_permission(draft: Draft) -> Answer:
    """Which routing keys: user, vhost, exchange, write, read (regular expressions). There need be no such exchange."""
    rights = [draft.ask(right, str) for right in ("write", "read")]
    for pattern in rights:
        check_pattern(pattern, f'"{pattern}"')
    record = TopicPermissionRecord(*(draft.ask(name, str) for name in ("user", "vhost", "exchange")), *rights)
    check_user(draft, record.user)
    check_vhost(draft, record.vhost)
    folder = schema.vhost_path(record.vhost, "topic_permissions")
    if draft.overlay.get(folder) is None:  # a virtual host that an earlier version made
        draft.overlay.create(folder, b"")
    path = schema.topic_permission_path(record.vhost, record.user, record.exchange)
    created = draft.overlay.get(path) is None
    draft.put(path, record)
    return {"created": created}


def clear_topic_permission(draft: Draft) -> Answer:
    """The user may use every routing key again: user, vhost, exchange; without `exchange` of all exchanges."""
    user, vhost = draft.ask("user", str), draft.ask("vhost", str)
    exchange = draft.request.get("exchange")
    check_user(draft, user)
    check_vhost(draft, vhost)
    cleared = 0
    for record in schema.topic_permissions(draft.overlay, vhost):
        if record.user == user and exchange in (None, record.exchange):
            draft.overlay.delete(schema.topic_permission_path(vhost, user, record.exchange))
            cleared += 1
    return {"deleted": cleared}
