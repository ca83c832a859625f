"""Delayed message exchanges: a message that asks for it waits, then goes where an exchange of another kind leads.

Decides that a message with a delay goes to the exchange's own queue and nowhere else; once it has waited its delay is
negative, and it passes. It must not know how that queue waits. Source: the community plugin
rabbitmq_delayed_message_exchange 3.10.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from broker.routing.exchange import Destination, Exchange, Message
from broker.wire.delay import delay_ms

ARGUMENT = "x-delayed-type"
DELAY_QUEUES = "amq.delayed."
"""How the names of queues behind delayed exchanges begin; no other queue may be called so."""


def delay_queue(exchange: str) -> str:
    """The name of the queue in which an exchange's messages wait: clients can neither declare nor find it."""
    return DELAY_QUEUES + exchange


class Delayed(Exchange):
    """An exchange of another kind behind a queue."""

    per_message = True

    def __init__(self, name: str, inner: Exchange) -> None:
        self._inner = inner
        self._waiting = (Destination("queue", delay_queue(name)),)

    def bind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """As the inner kind does. Raises BindingInvalid."""
        self._inner.bind(destination, key, arguments)

    def unbind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Undo `bind`."""
        self._inner.unbind(destination, key, arguments)

    def match(self, keys: Sequence[str], message: Message) -> Collection[Destination]:
        """The queue to wait in, or where the inner kind leads."""
        return self._waiting if delay_ms(message.headers) else self._inner.match(keys, message)
