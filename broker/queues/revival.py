"""What becomes of a dead letter that is to live again: where it goes, and what its headers say then.

Decides which of its deaths counts, and how often it has been sent back. It must not know routes, rights or queues.

A letter goes back to where its first death found it: the exchange and the routing keys that its publisher used,
whatever chain of dead letter queues it went through since, or retries. Its story (`x-death`, `x-first-death-…`) begins
anew: consumers that count deaths would give up at once, and a queue that it has been in would count as a cycle and drop
it. The old story stands in `x-replayed-deaths`, and `x-replay-count` says how often it was sent back. What was its
`expiration` stays in the story: else it would die again before anybody has looked at it.
"""

from typing import Any, Final, NamedTuple

from broker.queues.dead_letter import one_more
from broker.wire.properties import Properties

REPLAYS: Final = "x-replay-count"
STORY: Final = "x-replayed-deaths"
STORY_MAX: Final = 32
"""So many deaths of earlier lives are told: a header has its limits."""
_FIRST: Final = ("x-first-death-queue", "x-first-death-reason", "x-first-death-exchange")


class Home(NamedTuple):
    """Where a dead letter was when it died for the first time."""

    exchange: str
    keys: tuple[str, ...]
    """The routing key, and those of CC."""
    queue: str


def home_of(headers: dict[str, Any]) -> Home | None:
    """Where it goes back to; None if its headers do not tell."""
    deaths = _deaths(headers)
    queue, reason, _ = (headers.get(name) for name in _FIRST)
    first = next((death for death in deaths if (death.get("queue"), death.get("reason")) == (queue, reason)), None)
    death = first or next(reversed(deaths), None)
    if death is None:
        return None
    exchange, keys, queue = death.get("exchange"), death.get("routing-keys"), death.get("queue")
    if not isinstance(exchange, str) or not isinstance(keys, list) or not keys or not isinstance(queue, str):
        return None
    return (
        Home(exchange, tuple(key for key in keys if isinstance(key, str)), queue) if isinstance(keys[0], str) else None
    )


def has_died(headers: dict[str, Any], reason: str | None, queue: str | None) -> bool:
    """Whether it has died for this reason and in this queue (None: any)."""
    return any(
        (reason is None or death.get("reason") == reason) and (queue is None or death.get("queue") == queue)
        for death in _deaths(headers)
    )


def replays_of(headers: dict[str, Any]) -> int:
    """How often it was sent back before."""
    count = headers.get(REPLAYS)
    return count if isinstance(count, int) and count > 0 else 0


def revive(properties: Properties, keys: tuple[str, ...]) -> Properties:
    """The properties with which it is published again, with the first of these keys as its routing key."""
    headers = dict(properties.headers or {})
    story = [*_deaths(headers), *_deaths(headers, STORY)][:STORY_MAX]
    for name in ("x-death", *_FIRST):
        headers.pop(name, None)
    if story:
        headers[STORY] = story
    headers[REPLAYS] = one_more(replays_of(headers))
    if len(keys) > 1:
        headers["CC"] = list(keys[1:])  # a dead letter routing key had taken them away
    properties.headers = headers
    return properties


def _deaths(headers: dict[str, Any], name: str = "x-death") -> list[dict[str, Any]]:
    deaths = headers.get(name)
    return [death for death in deaths if isinstance(death, dict)] if isinstance(deaths, list) else []
