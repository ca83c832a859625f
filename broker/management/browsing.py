"""GET …/browse: messages of a queue, looked at where they stand. Not RabbitMQ's.

Decides how a look is asked for behind the question mark, and how messages are named in JSON: as those that `get` gives.
It must not know how a queue is read.
"""

from typing import TYPE_CHECKING, Any, Final

from broker.cluster.arguments import from_json, to_plain
from broker.management.refusals import BadRequest
from broker.management.route import Query
from broker.vhosts.browsing import STATES, look_of

if TYPE_CHECKING:
    from broker.management.visit import Visit

Row = dict[str, Any]

QUERIES: Final = (
    Query("limit", "integer", "At most so many messages; else 10."),
    Query("after", "integer", "Behind this position: `next` of the answer before."),
    Query("offset", "integer", "Without the first so many of these."),
    Query("state", "string", f"One of {', '.join(STATES)}; else all."),
    Query("search", "string", "Only those with this text in body, exchange, routing key, properties or headers."),
    Query("truncate", "integer", "So many bytes of a body; else 4096."),
)
_NUMBERS = {"limit": "limit", "after": "after", "offset": "offset", "truncate": "body_bytes"}
_DIGITS_MAX = 18


async def browse(visit: "Visit") -> Row:
    """Look at the messages of a queue, without an effect on it; asks for the permission to read it, and that it is not
    another connection's alone."""
    vhost, client = visit.enter()
    name = visit.part("name")
    client.access(vhost.name).check("read", "queue", name)
    client.check_exclusive(vhost.handle(name))
    look: Row = {word: visit.queries[word] for word in ("state", "search") if word in visit.queries}
    for word, ours in _NUMBERS.items():
        if word in visit.queries:
            look[ours] = _number(word, visit.queries[word])
    answer = await visit.hall.browsing.look(vhost.handle(name), look_of(look))
    return {**answer, "messages": [_message(message) for message in answer["messages"]]}


def _number(word: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise BadRequest(["not_integer", word])
    return int(text)


def _message(seen: Row) -> Row:
    return {
        **{name: seen[name] for name in ("position", "state", "holder", "stamp_ms", "redelivered", "exchange")},
        "routing_key": seen["key"],
        "properties": to_plain(from_json(seen["properties"])),
        "payload": seen["body"],
        "payload_encoding": "base64" if seen["encoding"] == "base64" else "string",
        "payload_bytes": seen["body_bytes"],
        "truncated": seen["truncated"],
    }
