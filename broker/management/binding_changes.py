"""Bindings between two ends, by HTTP: listed, made, found by their properties_key, removed.

Decides what a request about a binding comes to; each is done as the user who asks. It must not know how a binding looks
in JSON (`bindings`). Source: RabbitMQ 3.10, `rabbit_mgmt_wm_bindings` and `rabbit_mgmt_wm_binding`.
"""

from typing import TYPE_CHECKING
from urllib.parse import quote

from broker.amqp.errors import ChannelException
from broker.cluster import schema
from broker.cluster.arguments import from_json
from broker.management import bindings
from broker.management.refusals import NotFound
from broker.management.reply import DONE, Reply

if TYPE_CHECKING:
    from broker.cluster.records import BindingRecord
    from broker.management.listing import Row
    from broker.management.visit import Visit


def of_queue(visit: "Visit") -> "list[Row]":
    """The bindings to a queue."""
    name = visit.part("name")
    if schema.queue(visit.tree, visit.vhost, name) is None:
        raise NotFound
    return [
        bindings.described(one) for one in _all(visit) if (one.destination_kind, one.destination) == ("queue", name)
    ]


def from_exchange(visit: "Visit") -> "list[Row]":
    """The bindings from an exchange."""
    name = _exchange(visit)
    return [bindings.described(one) for one in _all(visit) if one.source == name]


def to_exchange(visit: "Visit") -> "list[Row]":
    """The bindings to an exchange."""
    end = "exchange", _exchange(visit)
    return [bindings.described(one) for one in _all(visit) if (one.destination_kind, one.destination) == end]


def between(visit: "Visit") -> "list[Row]":
    """The bindings between two ends; KIND is q or e."""
    ends = _ends(visit)
    return [
        bindings.described(one) for one in _all(visit) if (one.source, one.destination_kind, one.destination) == ends
    ]


async def post(visit: "Visit") -> Reply:
    """Bind; the header Location says where the binding is found."""
    *_, destination = _ends(visit)
    asked = visit.body
    await _change(visit, asked.routing_key, asked.arguments, bind=True)
    key = bindings.properties_key(asked.routing_key, asked.arguments)
    return Reply(201, None, {"location": f"{quote(destination, safe='')}/{quote(key, safe='')}"})


def single(visit: "Visit") -> "Row":
    """One binding by its properties_key."""
    wanted = visit.part("props")
    found = next((row for row in between(visit) if row["properties_key"] == wanted), None)
    if found is None:
        raise NotFound
    return found


async def delete(visit: "Visit") -> Reply:
    """Remove a binding."""
    row = single(visit)
    record = next(one for one in _all(visit) if bindings.described(one) == row)
    await _change(visit, record.key, from_json(record.arguments), bind=False)
    return DONE


async def _change(visit: "Visit", key: str, arguments: "Row", *, bind: bool) -> None:
    source, kind, destination = _ends(visit)
    _, client = visit.enter()
    verbs = visit.hall.declarations
    if bind and kind == "exchange" and schema.exchange(visit.tree, visit.vhost, destination) is None:
        raise ChannelException(404, f"no exchange '{destination}' in vhost '{visit.vhost}'")
    change = verbs.bind_queue if kind == "queue" else verbs.bind_exchange
    await change(client, destination, source, key, arguments, bind=bind)


def _all(visit: "Visit") -> "list[BindingRecord]":
    return [*bindings.all_of(visit.tree, visit.vhost)]


def _exchange(visit: "Visit") -> str:
    name = visit.exchange()
    if schema.exchange(visit.tree, visit.vhost, name) is None:
        raise NotFound
    return name


def _ends(visit: "Visit") -> tuple[str, str, str]:
    kind = {"q": "queue", "e": "exchange"}.get(visit.part("kind"))
    if kind is None:
        raise NotFound
    destination = visit.part("destination") if kind == "queue" else visit.exchange("destination")
    return visit.exchange("source"), kind, destination
