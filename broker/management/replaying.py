"""POST …/replay: dead letters of a queue go back to where they came from. Not RabbitMQ's.

Decides with which rights: those of a client who consumes from the queue and publishes each letter where it goes. It
must not know how letters are sent.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.management.visit import Visit


async def replay(visit: "Visit") -> dict[str, Any]:
    """Sends dead letters back; what stays is told with the reason, and with `next` where to go on.

    Raises Refusal.
    """
    vhost, client = visit.enter()
    asked, name = visit.body, visit.part("name")
    client.access(vhost.name).check("read", "queue", name)
    client.check_exclusive(vhost.handle(name))
    wish = {
        "key": asked.routing_key,
        "original": asked.queue,
        **{name: getattr(asked, name) for name in ("to", "exchange", "search", "reason", "limit", "after", "upto")},
        **{name: getattr(asked, name) for name in ("again", "dry_run")},
    }
    known = {word: value for word, value in wish.items() if value is not None}
    return await visit.command("replay", vhost=vhost.name, queue=name, user=visit.user.name, **known)
