"""/api/exchanges, and the rows of list_exchanges."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.amqp.errors import ConnectionException
from broker.cluster import schema
from broker.cluster.arguments import from_json, to_plain
from broker.cluster.records import ExchangeRecord
from broker.management import reply
from broker.management.listing import Listing, Row, rows_of
from broker.management.queue_changes import checked_name
from broker.management.refusals import BadRequest, NotFound
from broker.management.tree_records import read_all
from broker.routing.delayed import delay_queue
from broker.routing.kinds import DELAYED

if TYPE_CHECKING:
    from broker.management.census import Census
    from broker.management.reply import Reply
    from broker.management.visit import Visit
    from broker.vhosts.hall import Hall


async def listing(hall: "Hall", census: "Census", vhosts: Sequence[str]) -> Listing:
    """The exchanges of these vhosts, the default exchange of each first; delayed ones tell how much waits."""
    tree = hall.tree.tree
    records = await read_all(tree, ExchangeRecord, vhosts, "exchanges")
    names = [(record.vhost, delay_queue(record.name)) for record in records if record.kind == DELAYED]
    waiting = [queue for name in names if (queue := schema.queue(tree, *name)) is not None]
    figures, silent = await census.count(waiting)
    delayed = {(queue.vhost, queue.delays): figures[queue.id] for queue in waiting if queue.id in figures}
    rows = await rows_of(records, described)
    for row in rows:
        if (row["vhost"], row["name"]) in delayed:
            row["messages_delayed"] = delayed[row["vhost"], row["name"]]["messages"]
    return Listing(rows, silent)


def described(record: "ExchangeRecord") -> Row:
    """One exchange."""
    exchange = {
        "name": record.name,
        "vhost": record.vhost,
        "type": record.kind,
        "durable": record.durable,
        "auto_delete": record.auto_delete,
        "internal": record.internal,
        "arguments": to_plain(from_json(record.arguments)),
    }
    return exchange if record.policy is None else {**exchange, "policy": record.policy}


# ------------------------------------------------------------------ by HTTP


def single(visit: "Visit") -> Row:
    """One exchange. Which channel and which queue is not counted, as in RabbitMQ's usual mode."""
    record = schema.exchange(visit.tree, visit.vhost, visit.exchange())
    if record is None:
        raise NotFound
    return {**described(record), "incoming": [], "outgoing": []}


async def put(visit: "Visit") -> "Reply":
    """Declare an exchange."""
    vhost, client = visit.enter()
    asked, name = visit.body, checked_name(visit)
    there = schema.exchange(visit.tree, vhost.name, name) is not None
    try:
        await visit.hall.declarations.declare_exchange(
            client,
            visit.exchange(),
            asked.type,
            passive=False,
            durable=asked.durable,
            auto_delete=asked.auto_delete,
            internal=asked.internal,
            arguments=asked.arguments,
        )
    except ConnectionException as refused:
        if refused.code != 503:
            raise
        raise BadRequest(f"invalid exchange type '{asked.type}'") from None
    return reply.put(not there)


async def delete(visit: "Visit") -> "Reply":
    """Delete an exchange."""
    name = single(visit)["name"]
    _, client = visit.enter()
    if_unused = visit.queries.get("if-unused") == "true"
    await visit.hall.declarations.delete_exchange(client, name, if_unused=if_unused)
    return reply.DONE
