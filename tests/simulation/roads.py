"""What the load publishes to and reads from: kinds of queues, each with what is behind it.

Decides which queues, exchanges and policies belong to a kind, and how its consumers answer. It must not know clients,
faults or judges. A road has the name of the queue or exchange it begins with; every road ends in queues whose
consumers acknowledge what they get.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from broker.wire.properties import REPLY_TO, Properties
from policies.models import Policy
from tests.simulation.world import HA_ALL, policy

ACKNOWLEDGE, REQUEUE, REJECT, LEAVE, RECOVER = "acknowledge", "requeue", "reject", "leave", "recover"
ONLY_ACKNOWLEDGE = (ACKNOWLEDGE,)
DELIVERY_LIMIT = 2

Answers = tuple[str, ...]
"""What a consumer does with what it has got; drawn with repetition."""


@dataclass(frozen=True)
class Road:
    """One way from publishers to consumers. Queues without consumers have to become empty by themselves."""

    name: str
    queues: Mapping[str, Mapping[str, Any]]
    """Names and arguments."""
    consumers: Mapping[str, Answers]
    policies: tuple[Policy, ...] = ()
    delays_ms: tuple[int, ...] = ()
    """If there are any: it begins with a delayed exchange, bound to its queues."""
    asks: bool = False
    """Its publishers wait for answers, by direct reply-to; its consumers give them."""
    shares_prefetch: bool = False
    """Its consumers work in pairs that share the limit of a channel."""
    sizes: tuple[int, ...] = (0,)
    """To so many bytes its messages are filled up: what is too large for a queue comes between what is not."""
    deaths: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By queue why the messages that come there can have died last."""

    transacts: bool = False
    """Its publishers say everything in transactions, of which they take some back."""
    levels: int = 0
    """So many priorities its messages have, besides none."""
    fetches: bool = False
    """Its consumers ask for each message."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of its consumers."""
    single: bool = False
    """It has one active consumer at a time."""
    sheds: bool = False
    """Messages may be dropped there, and be lost."""

    @property
    def cancels(self) -> bool:
        """Whether its consumers want to be told of a failover."""
        return bool(self.arguments.get("x-cancel-on-ha-failover"))

    @property
    def exchange(self) -> str:
        """Where it is published to, with the road's name as key."""
        return self.name if self.delays_ms else ""

    def properties(self, chance: Random, *, persistent: bool) -> Properties:
        """Of the next message."""
        properties = Properties(delivery_mode=2 if persistent else 1)
        if self.delays_ms:
            properties.headers = {"x-delay": chance.choice(self.delays_ms)}
        if self.levels:
            properties.priority = chance.randrange(self.levels + 1)
        if self.asks:
            properties.reply_to = REPLY_TO
        return properties


def road(kind: str, name: str) -> Road:
    """A road of this kind."""
    match kind:
        case "plain":
            return Road(name, {name: {}}, {name: ONLY_ACKNOWLEDGE})
        case "quorum":
            return _quorum(name)
        case "delayed":
            queue = f"{name}.late"
            return Road(name, {queue: {}}, {queue: ONLY_ACKNOWLEDGE}, delays_ms=(50, 300, 1000, 2500))
        case "calls":
            return Road(name, {name: {}}, {name: ONLY_ACKNOWLEDGE}, asks=True, shares_prefetch=True)
        case "letters":
            return _letters(name)
        case "full":
            full = {"x-max-length": 10, "x-max-length-bytes": 150, "x-overflow": "reject-publish"}
            return Road(
                name, {name: full}, {name: (ACKNOWLEDGE, ACKNOWLEDGE, REQUEUE)}, shares_prefetch=True, sizes=(0, 0, 100)
            )
        case "transactions":
            return Road(name, {name: {}}, {name: ONLY_ACKNOWLEDGE}, transacts=True)
        case "priorities":
            queue = {"x-max-priority": 3}
            return Road(name, {name: queue}, {name: (ACKNOWLEDGE, ACKNOWLEDGE, REQUEUE, RECOVER)}, levels=3)
        case "single":
            single = {"x-single-active-consumer": True}
            return Road(name, {name: single}, {name: (ACKNOWLEDGE, ACKNOWLEDGE, RECOVER, LEAVE)}, single=True)
        case "told":
            told = {"x-cancel-on-ha-failover": True}
            return Road(name, {name: {}}, {name: ONLY_ACKNOWLEDGE}, arguments=told)
        case "fetched":
            return Road(name, {name: {}}, {name: (ACKNOWLEDGE, ACKNOWLEDGE, REQUEUE, LEAVE)}, fetches=True)
        case "capped":
            return _capped(name)
    raise ValueError(kind)


def _capped(name: str) -> Road:
    """What is too much goes from the head, to a queue with a limit of its own."""
    rest = f"{name}.rest"
    limited = {"x-max-length": 10, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": rest}
    return Road(
        name,
        {name: limited, rest: {"x-max-length": 30}},
        {name: (ACKNOWLEDGE, ACKNOWLEDGE, REQUEUE), rest: ONLY_ACKNOWLEDGE},
        deaths={rest: frozenset(["maxlen"])},
        sheds=True,
    )


def _quorum(name: str) -> Road:
    """Consumers requeue, or leave with what they hold; who comes back too often has to arrive in a small queue."""
    worn, quorum = f"{name}.worn", {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
    source = {
        **quorum,
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": worn,
        "x-dead-letter-strategy": "at-least-once",
    }
    return Road(
        name,
        {name: source, worn: {**quorum, "x-max-length": 20}},
        {name: (ACKNOWLEDGE, ACKNOWLEDGE, REQUEUE, LEAVE), worn: ONLY_ACKNOWLEDGE},
        deaths={worn: frozenset(["delivery_limit"])},
    )


def _letters(name: str) -> Road:
    """Rejected or too old: to a queue where nobody reads and everything becomes too old, and on to the last one, which
    has one copy and is often away. Of the first one messages die by policy, of the second by argument."""
    parked, last = f"{name}.parked", f"{name}.last"
    dying = {**HA_ALL, "message-ttl": 400, "dead-letter-exchange": "", "dead-letter-routing-key": parked}
    one = {**HA_ALL, "ha-mode": "exactly", "ha-params": 1}
    passing = {"x-message-ttl": 300, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": last}
    return Road(
        name,
        {name: {}, parked: passing, last: {}},
        {name: (ACKNOWLEDGE, REJECT, REJECT), last: ONLY_ACKNOWLEDGE},
        policies=(policy(dying, f"^{name}$", "dying", 1), policy(one, f"^{name}[.]last$", "one", 1)),
        deaths={last: frozenset(["expired"])},
    )
