"""/api/feature-flags: what RabbitMQ switches on step by step, and what is always on here.

Decides which flags there are: those of RabbitMQ 3.10 whose feature Warren has. It must not know where a feature is.
"""

from typing import TYPE_CHECKING, Any, Final

from broker.management import reply
from broker.management.refusals import BadRequest

if TYPE_CHECKING:
    from broker.management.reply import Reply
    from broker.management.visit import Visit

FLAGS: Final = {
    "classic_mirrored_queue_version": "Support setting version for classic mirrored queues",
    "drop_unroutable_metric": "Count unroutable publishes to be dropped in stats",
    "empty_basic_get_metric": "Count AMQP `basic.get` on empty queues in stats",
    "implicit_default_bindings": "Default bindings are now implicit, instead of being stored in the database",
    "maintenance_mode_status": "Maintenance mode status",
    "quorum_queue": "Support queues of type `quorum`",
    "user_limits": "Configure connection and channel limits for a user",
    "virtual_host_metadata": "Virtual host metadata (description, tags, etc)",
}


def listed(visit: "Visit") -> list[dict[str, Any]]:
    """All flags; they are enabled, and always were."""
    always = {"doc_url": "", "state": "enabled", "stability": "stable", "provided_by": "warren"}
    return [{"name": name, "desc": text, **always} for name, text in FLAGS.items()]


def enable(visit: "Visit") -> "Reply":
    """PUT …/enable: those that are there are enabled already."""
    if visit.part("name") not in FLAGS:
        raise BadRequest("unsupported")
    return reply.DONE
