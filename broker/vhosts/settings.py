"""The settings in force for a queue or an exchange, from its record.

Decides which facts of a record the queue or the router itself obeys. It must not know where they came from beyond that.
"""

from typing import Any, NamedTuple

from broker.cluster.arguments import from_json
from broker.cluster.records import ExchangeRecord, QueueRecord
from broker.queues.settings import Settings
from policies.effective import Effective, effective
from policies.quorum import is_quorum


class _Merged(NamedTuple):
    definition: dict[str, Any]


def alternate_of(record: ExchangeRecord) -> str | None:
    """The exchange that takes what this one leads nowhere, by argument or policy.

    As an alternate the default exchange leads nowhere: its bindings are not really there (RabbitMQ).
    """
    policy = None if record.definition is None else _Merged(dict(record.definition))
    return effective(from_json(record.arguments), policy, None).value("alternate-exchange") or None


def settings_of(record: QueueRecord) -> Settings:
    """Arguments and policy of this record as settings of its queue."""
    if record.delays:
        return Settings(delays=True, dead_letter_exchange=record.delays)
    policy = None if record.definition is None else _Merged(dict(record.definition))
    arguments = from_json(record.arguments)
    inforce = effective(arguments, policy, None)
    quorum = is_quorum(arguments)
    return Settings(
        message_ttl_ms=inforce.value("message-ttl"),
        expires_ms=inforce.value("expires"),
        max_length=inforce.value("max-length"),
        max_length_bytes=inforce.value("max-length-bytes"),
        overflow=inforce.value("overflow") or "drop-head",
        dead_letter_exchange=inforce.value("dead-letter-exchange"),
        dead_letter_routing_key=inforce.value("dead-letter-routing-key"),
        max_priority=arguments.get("x-max-priority") or None,
        counts_returns=quorum,
        dead_letters_must_arrive=quorum and _must_arrive(inforce),
        delivery_limit=inforce.value("delivery-limit") if quorum else None,
        single_active_consumer=arguments.get("x-single-active-consumer") is True,
        lazy=inforce.value("queue-mode") == "lazy",
        paused=record.paused,
    )


def _must_arrive(inforce: Effective) -> bool:
    """Without a limit that holds publishers back the strategy would let the queue grow: then it does not count."""
    return (inforce.value("dead-letter-strategy"), inforce.value("overflow")) == ("at-least-once", "reject-publish")
