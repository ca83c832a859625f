"""What a request of the admin road names, found on this node.

Decides what is said when it is not there. It must not know what is wanted of it.
"""

from typing import TYPE_CHECKING, Any

from broker.cluster.asked import ask

if TYPE_CHECKING:
    from broker.vhosts.hall import Hall
    from broker.vhosts.handle import Handle
    from broker.vhosts.vhost import Vhost


class Unknown(Exception):
    """What was named is not there; the text says what."""


def vhost_of(hall: "Hall", request: dict[str, Any]) -> "Vhost":
    """The virtual host of the request. Raises Unknown."""
    name = ask(request, "vhost", str, "/")
    vhost = hall.catalogue.vhosts.get(name)
    if vhost is None:
        raise Unknown(f"no vhost '{name}'")
    return vhost


def queue_of(hall: "Hall", request: dict[str, Any]) -> "Handle":
    """The queue of the request, in its virtual host. Raises Unknown."""
    vhost, name = vhost_of(hall, request), ask(request, "queue", str)
    handle = vhost.handles.get(name)
    if handle is None:
        raise Unknown(f"no queue '{name}' in vhost '{vhost.name}'")
    return handle
