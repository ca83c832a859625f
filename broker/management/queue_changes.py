"""What HTTP requests do to queues: declare, delete, purge, pause, and fill their mirrors.

Decides which verb a request becomes; each is done as the user who asks, with the rights of a client. It must not know
what a queue looks like in JSON (`queues`).
"""

from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.cluster.records import Life
from broker.management import reply
from broker.management.refusals import BadRequest, NotFound
from policies.placement import node_name

if TYPE_CHECKING:
    from broker.management.reply import Reply
    from broker.management.visit import Visit
    from broker.vhosts.client import Client
    from broker.vhosts.vhost import Vhost

ACTIONS = {"sync": "sync", "cancel_sync": "cancel_sync"}
NAME_BYTES_MAX = 255


async def put(visit: "Visit") -> "Reply":
    """Declare a queue, as a client of `node` would if one is named."""
    vhost, client = visit.enter()
    asked, name = visit.body, checked_name(visit)
    there = name in vhost.handles
    await visit.hall.declarations.declare_queue(
        client,
        name,
        passive=False,
        durable=asked.durable,
        exclusive=False,
        auto_delete=asked.auto_delete,
        arguments=asked.arguments,
        at=None if asked.node is None else _life_of(visit, asked.node),
    )
    return reply.put(not there)


async def delete(visit: "Visit") -> "Reply":
    """Delete a queue."""
    _, client, name = _there(visit)
    conditions = {name.replace("-", "_"): visit.queries.get(name) == "true" for name in ("if-unused", "if-empty")}
    await visit.hall.declarations.delete_queue(client, name, **conditions)
    return reply.DONE


async def purge(visit: "Visit") -> "Reply":
    """Purge a queue: its messages that are ready go."""
    _, client, name = _there(visit)
    await visit.hall.declarations.purge_queue(client, name)
    return reply.DONE


async def act(visit: "Visit") -> "Reply":
    """Fill the mirrors of a queue, or stop that: sync, cancel_sync."""
    action = visit.body.action
    if action not in ACTIONS:
        raise BadRequest(["unknown", action])
    vhost, _, name = _there(visit)
    if vhost.handles[name].record.is_mirrored:
        await visit.command(ACTIONS[action], vhost=vhost.name, queue=name)
    return reply.DONE  # of a queue without mirrors there is nothing to fill, and no complaint (RabbitMQ)


async def pause(visit: "Visit") -> "Reply":
    """PUT …/pause, as LavinMQ has it: nothing is given out any more. It takes the right to configure the queue."""
    return await _pause(visit, paused=True)


async def resume(visit: "Visit") -> "Reply":
    """PUT …/resume: it is given out again."""
    return await _pause(visit, paused=False)


async def _pause(visit: "Visit", *, paused: bool) -> "Reply":
    vhost, client, name = _there(visit)
    client.access(vhost.name).check("configure", "queue", name)
    client.check_exclusive(vhost.handle(name))
    await visit.propose("pause_queue", vhost=vhost.name, name=name, paused=paused)
    return reply.DONE


def checked_name(visit: "Visit") -> str:
    """The name in the path, if AMQP could say it. Raises BadRequest."""
    name = visit.part("name")
    if len(name.encode()) > NAME_BYTES_MAX:
        raise BadRequest(f"a name has at most {NAME_BYTES_MAX} bytes")
    return name


def _there(visit: "Visit") -> "tuple[Vhost, Client, str]":
    if not visit.has_vhost or schema.queue(visit.tree, visit.part("vhost"), visit.part("name")) is None:
        raise NotFound
    return *visit.enter(), visit.part("name")


def _life_of(visit: "Visit", node: str) -> Life:
    member = schema.member(visit.tree, node_name(node))
    if member is None or not member.running:
        raise BadRequest(f"Node {node} could not be contacted")
    return Life(member.name, member.life)
