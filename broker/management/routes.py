"""Every route of the HTTP API: the one table of methods, paths, rights and who answers.

Decides what there is. It must not know how requests come in. Source: RabbitMQ 3.10, `rabbit_mgmt_dispatcher`; what is
not RabbitMQ's is said where it stands.
"""

from typing import Final

from broker.management import (
    attempts,
    binding_changes,
    bindings,
    bodies,
    browsing,
    clients,
    cluster,
    definition_files,
    exchanges,
    feature_flags,
    health,
    memory,
    messages,
    nodes,
    overview,
    parameters,
    permissions,
    policies,
    queue_changes,
    queue_lists,
    queues,
    replaying,
    users,
    vhosts,
    whoami,
)
from broker.management.counted import CURVES
from broker.management.listing import listed
from broker.management.metrics import pages
from broker.management.route import Query, Right, Route, many, one, paged

ADMINISTRATOR, MONITORING, POLICYMAKER, VHOST = Right.ADMINISTRATOR, Right.MONITORING, Right.POLICYMAKER, Right.VHOST

IF_UNUSED = Query("if-unused", "boolean", "Only if nobody consumes, or nothing is bound.")
IF_EMPTY = Query("if-empty", "boolean", "Only if no message is ready.")
DOWNLOAD = Query("download", "string", "The name under which a browser saves it.")

IMPORT_S: Final = 3600
"""Tens of thousands of queues take minutes."""

_CLUSTER = (
    one("/api/overview", overview.show, queries=(*CURVES, *queue_lists.QUERIES)),
    one("/api/whoami", whoami.show),
    one("/api/cluster-name", cluster.name),
    Route("PUT", "/api/cluster-name", cluster.rename, ADMINISTRATOR, bodies.NameBody),
    Route("GET", "/api/extensions", cluster.extensions),
    Route("GET", "/api/auth", cluster.auth, Right.NOBODY),
    many("/api/nodes", nodes.listed, MONITORING, CURVES),
    one("/api/nodes/{name}", nodes.single, MONITORING, (*CURVES, nodes.MEMORY)),
    one("/api/nodes/{name}/memory", memory.absolute, MONITORING),
    one("/api/nodes/{name}/memory/relative", memory.relative, MONITORING),
    Route("DELETE", "/api/reset", cluster.reset, ADMINISTRATOR),
    Route("DELETE", "/api/reset/{name}", cluster.reset, ADMINISTRATOR),
    many("/api/feature-flags", feature_flags.listed, ADMINISTRATOR),
    Route("PUT", "/api/feature-flags/{name}/enable", feature_flags.enable, ADMINISTRATOR),
    many("/api/auth/attempts/{name}", attempts.by_protocol, MONITORING),
    many("/api/auth/attempts/{name}/source", attempts.by_source, MONITORING),
    Route("POST", "/api/rebalance/queues", cluster.rebalance, ADMINISTRATOR),
    Route("GET", "/api/definitions", definition_files.download, ADMINISTRATOR, queries=(DOWNLOAD,)),
    Route("POST", "/api/definitions", definition_files.upload, ADMINISTRATOR, bodies.RawBody, patience_s=IMPORT_S),
    Route("GET", "/api/definitions/{vhost}", definition_files.download, ADMINISTRATOR, queries=(DOWNLOAD,)),
    Route(
        "POST", "/api/definitions/{vhost}", definition_files.upload, ADMINISTRATOR, bodies.RawBody, patience_s=IMPORT_S
    ),
    Route("GET", "/api/all-configuration", definition_files.download, ADMINISTRATOR, queries=(DOWNLOAD,)),
    Route(
        "POST", "/api/all-configuration", definition_files.upload, ADMINISTRATOR, bodies.RawBody, patience_s=IMPORT_S
    ),
)
_VHOSTS = (
    paged("/api/vhosts", vhosts.listed, queries=(*CURVES, *queue_lists.QUERIES[:1])),
    one("/api/vhosts/{vhost}", vhosts.single, ADMINISTRATOR, (*CURVES, *queue_lists.QUERIES[:1])),
    Route("PUT", "/api/vhosts/{vhost}", vhosts.put, ADMINISTRATOR, bodies.VhostBody),
    Route("DELETE", "/api/vhosts/{vhost}", vhosts.delete, ADMINISTRATOR),
    Route("POST", "/api/vhosts/{vhost}/start/{name}", vhosts.start, ADMINISTRATOR),
    many("/api/vhosts/{vhost}/permissions", permissions.in_vhost, ADMINISTRATOR),
    many("/api/vhosts/{vhost}/topic-permissions", permissions.in_vhost_by_key, ADMINISTRATOR),
    many("/api/vhosts/{vhost}/connections", clients.every_connection, VHOST),
    many("/api/vhosts/{vhost}/channels", clients.every_channel, VHOST),
    many("/api/vhost-limits", vhosts.limited),
    many("/api/vhost-limits/{vhost}", vhosts.limited, VHOST),
    Route("PUT", "/api/vhost-limits/{vhost}/{limit}", vhosts.put_limit, ADMINISTRATOR, bodies.LimitBody),
    Route("DELETE", "/api/vhost-limits/{vhost}/{limit}", vhosts.delete_limit, ADMINISTRATOR),
)
_USERS = (
    many("/api/users", users.everybody, ADMINISTRATOR),
    many("/api/users/without-permissions", users.without_permissions, ADMINISTRATOR),
    Route("POST", "/api/users/bulk-delete", users.delete_several, ADMINISTRATOR, bodies.UsersBody),
    one("/api/users/{name}", users.single, ADMINISTRATOR),
    Route("PUT", "/api/users/{name}", users.put, ADMINISTRATOR, bodies.UserBody),
    Route("DELETE", "/api/users/{name}", users.delete, ADMINISTRATOR),
    many("/api/users/{name}/permissions", permissions.of_user, ADMINISTRATOR),
    many("/api/users/{name}/topic-permissions", permissions.of_user_by_key, ADMINISTRATOR),
    many("/api/user-limits", users.limited, ADMINISTRATOR),
    one("/api/user-limits/{name}", users.limits_of, ADMINISTRATOR),
    Route("PUT", "/api/user-limits/{name}/{limit}", users.put_limit, ADMINISTRATOR, bodies.LimitBody),
    Route("DELETE", "/api/user-limits/{name}/{limit}", users.delete_limit, ADMINISTRATOR),
    many("/api/permissions", permissions.everywhere, ADMINISTRATOR),
    one("/api/permissions/{vhost}/{name}", permissions.single, ADMINISTRATOR),
    Route("PUT", "/api/permissions/{vhost}/{name}", permissions.put, ADMINISTRATOR, bodies.PermissionBody),
    Route("DELETE", "/api/permissions/{vhost}/{name}", permissions.delete, ADMINISTRATOR),
    many("/api/topic-permissions", permissions.everywhere_by_key, ADMINISTRATOR),
    many("/api/topic-permissions/{vhost}/{name}", permissions.single_by_key, ADMINISTRATOR),
    Route("PUT", "/api/topic-permissions/{vhost}/{name}", permissions.put_by_key, ADMINISTRATOR, bodies.KeyBody),
    Route("DELETE", "/api/topic-permissions/{vhost}/{name}", permissions.delete_by_key, ADMINISTRATOR),
    Route("DELETE", "/api/topic-permissions/{vhost}/{name}/{exchange}", permissions.delete_by_key, ADMINISTRATOR),
)
_POLICIES = (
    many("/api/parameters", parameters.listed, POLICYMAKER),
    many("/api/parameters/{component}", parameters.listed, POLICYMAKER),
    many("/api/parameters/{component}/{vhost}", parameters.listed, POLICYMAKER),
    one("/api/parameters/{component}/{vhost}/{name}", parameters.single, POLICYMAKER),
    Route("PUT", "/api/parameters/{component}/{vhost}/{name}", parameters.put, POLICYMAKER, bodies.ValueBody),
    Route("DELETE", "/api/parameters/{component}/{vhost}/{name}", parameters.delete, POLICYMAKER),
    many("/api/global-parameters", parameters.listed_globally, POLICYMAKER),
    one("/api/global-parameters/{name}", parameters.single_globally, POLICYMAKER),
    Route("PUT", "/api/global-parameters/{name}", parameters.put_globally, POLICYMAKER, bodies.ValueBody),
    Route("DELETE", "/api/global-parameters/{name}", parameters.delete_globally, POLICYMAKER),
    many("/api/policies", listed(policies.listing)),
    many("/api/policies/{vhost}", listed(policies.listing), VHOST),
    one("/api/policies/{vhost}/{name}", policies.single, POLICYMAKER),
    Route("PUT", "/api/policies/{vhost}/{name}", policies.put, POLICYMAKER, bodies.PolicyBody),
    Route("DELETE", "/api/policies/{vhost}/{name}", policies.delete, POLICYMAKER),
    many("/api/operator-policies", listed(policies.operator)),
    many("/api/operator-policies/{vhost}", listed(policies.operator), VHOST),
    one("/api/operator-policies/{vhost}/{name}", policies.single_operator, POLICYMAKER),
    Route("PUT", "/api/operator-policies/{vhost}/{name}", policies.put_operator, ADMINISTRATOR, bodies.PolicyBody),
    Route("DELETE", "/api/operator-policies/{vhost}/{name}", policies.delete_operator, ADMINISTRATOR),
)
_QUEUES = (
    paged("/api/queues", queue_lists.listed, queries=queue_lists.QUERIES),
    paged("/api/queues/{vhost}", queue_lists.listed, VHOST, queue_lists.QUERIES),
    one("/api/queues/{vhost}/{name}", queues.single, VHOST, (*CURVES, *queue_lists.QUERIES[:1])),
    Route("PUT", "/api/queues/{vhost}/{name}", queue_changes.put, VHOST, bodies.QueueBody),
    Route("DELETE", "/api/queues/{vhost}/{name}", queue_changes.delete, VHOST, queries=(IF_UNUSED, IF_EMPTY)),
    many("/api/queues/{vhost}/{name}/bindings", binding_changes.of_queue, VHOST),
    Route("DELETE", "/api/queues/{vhost}/{name}/contents", queue_changes.purge, VHOST),
    Route("POST", "/api/queues/{vhost}/{name}/get", messages.fetch, VHOST, bodies.GetBody),
    Route("GET", "/api/queues/{vhost}/{name}/browse", browsing.browse, VHOST, queries=browsing.QUERIES, waits=True),
    Route("POST", "/api/queues/{vhost}/{name}/replay", replaying.replay, VHOST, bodies.ReplayBody),
    Route("PUT", "/api/queues/{vhost}/{name}/pause", queue_changes.pause, VHOST),
    Route("PUT", "/api/queues/{vhost}/{name}/resume", queue_changes.resume, VHOST),
    Route("POST", "/api/queues/{vhost}/{name}/actions", queue_changes.act, ADMINISTRATOR, bodies.ActionBody),
    Route("GET", "/api/aliveness-test/{vhost}", messages.aliveness, VHOST, waits=True),
)
_EXCHANGES = (
    paged("/api/exchanges", listed(exchanges.listing)),
    paged("/api/exchanges/{vhost}", listed(exchanges.listing), VHOST),
    one("/api/exchanges/{vhost}/{name}", exchanges.single, VHOST),
    Route("PUT", "/api/exchanges/{vhost}/{name}", exchanges.put, VHOST, bodies.ExchangeBody),
    Route("DELETE", "/api/exchanges/{vhost}/{name}", exchanges.delete, VHOST, queries=(IF_UNUSED,)),
    Route("POST", "/api/exchanges/{vhost}/{name}/publish", messages.publish, VHOST, bodies.PublishBody),
    many("/api/exchanges/{vhost}/{name}/bindings/source", binding_changes.from_exchange, VHOST),
    many("/api/exchanges/{vhost}/{name}/bindings/destination", binding_changes.to_exchange, VHOST),
)
_BETWEEN = "/api/bindings/{vhost}/e/{source}/{kind}/{destination}"
_BINDINGS = (
    many("/api/bindings", listed(bindings.listing)),
    many("/api/bindings/{vhost}", listed(bindings.listing), VHOST),
    many(_BETWEEN, binding_changes.between, VHOST),
    Route("POST", _BETWEEN, binding_changes.post, VHOST, bodies.BindingBody),
    one(f"{_BETWEEN}/{{props}}", binding_changes.single, VHOST),
    Route("DELETE", f"{_BETWEEN}/{{props}}", binding_changes.delete, VHOST),
)
_CLIENTS = (
    paged("/api/connections", clients.every_connection),
    one("/api/connections/{name}", clients.connection, queries=CURVES),
    Route("DELETE", "/api/connections/{name}", clients.close),
    paged("/api/connections/username/{user}", clients.of_user),
    Route("DELETE", "/api/connections/username/{user}", clients.close_all_of_user),
    many("/api/connections/{name}/channels", clients.channels_of_connection),
    paged("/api/channels", clients.every_channel),
    one("/api/channels/{name}", clients.channel, queries=CURVES),
    many("/api/consumers", clients.visible(clients.consumers)),
    many("/api/consumers/{vhost}", clients.visible(clients.consumers), VHOST),
)
_CHECKS = "/api/health/checks"
_HEALTH = (
    Route("GET", f"{_CHECKS}/alarms", health.alarms),
    Route("GET", f"{_CHECKS}/local-alarms", health.local_alarms),
    Route("GET", f"{_CHECKS}/partitions", health.partitions),
    Route("GET", f"{_CHECKS}/port-listener/{{port}}", health.port_listener),
    Route("GET", f"{_CHECKS}/protocol-listener/{{protocol}}", health.protocol_listener),
    Route("GET", f"{_CHECKS}/virtual-hosts", health.virtual_hosts),
    Route("GET", f"{_CHECKS}/node-is-mirror-sync-critical", health.mirror_sync_critical),
    Route("GET", f"{_CHECKS}/node-is-quorum-critical", health.quorum_critical),
    Route("GET", f"{_CHECKS}/certificate-expiration/{{within}}/{{unit}}", health.certificate_expiration),
    Route("GET", "/api/healthchecks/node", health.node),
    Route("GET", "/api/healthchecks/node/{name}", health.node),
)

_DETAILS = (
    Query("family", "string", "Which figures; may be said several times. Without it there are none."),
    Query("vhost", "string", "Of objects of this virtual host only; may be said several times."),
)
_METRICS = (
    Route("GET", "/metrics", pages.whole, Right.NOBODY, media="text/plain"),
    Route("GET", "/metrics/per-object", pages.per_object, Right.NOBODY, media="text/plain"),
    Route("GET", "/metrics/grafana.json", pages.dashboard, Right.NOBODY),
    Route("GET", "/metrics/detailed", pages.detailed, Right.NOBODY, queries=_DETAILS, media="text/plain"),
)

ROUTES: Final = (
    *_CLUSTER,
    *_VHOSTS,
    *_USERS,
    *_POLICIES,
    *_QUEUES,
    *_EXCHANGES,
    *_BINDINGS,
    *_CLIENTS,
    *_HEALTH,
    *_METRICS,
)
