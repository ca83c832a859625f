"""What goes with what: bindings with their ends, auto-delete exchanges with their last binding.

Decides the cascade, so that every procedure that removes something removes the same. It must not know why.
Source: RabbitMQ 3.10, `rabbit_binding:remove_for_destination` and `rabbit_exchange:maybe_auto_delete`.
"""

from broker.cluster import schema
from broker.cluster.overlay import Overlay
from broker.cluster.records import BindingRecord, ExchangeRecord, QueueRecord
from broker.routing.delayed import delay_queue
from broker.routing.kinds import DELAYED


def remove_queue(overlay: Overlay, record: QueueRecord) -> None:
    """The queue, and the bindings to it."""
    overlay.delete(schema.queue_path(record.vhost, record.name))
    _remove_bindings_to(overlay, record.vhost, "queue", record.name)


def remove_exchange(overlay: Overlay, record: ExchangeRecord) -> None:
    """The exchange, the bindings from it and to it, and the queue in which its messages wait."""
    waiting = schema.queue(overlay, record.vhost, delay_queue(record.name)) if record.kind == DELAYED else None
    if waiting is not None:
        remove_queue(overlay, waiting)
    overlay.delete(schema.exchange_path(record.vhost, record.name))
    for path in overlay.find(schema.bindings_from(record.vhost, record.name)):
        overlay.delete(path)
    _remove_bindings_to(overlay, record.vhost, "exchange", record.name)


def remove_binding(overlay: Overlay, binding: BindingRecord) -> None:
    """The binding, and its source if that is an auto-delete exchange and this was its last."""
    overlay.delete(schema.binding_path(binding))
    _remove_if_unused(overlay, binding.vhost, binding.source)


def _remove_bindings_to(overlay: Overlay, vhost: str, kind: str, name: str) -> None:
    gone = schema.found(overlay, BindingRecord, schema.bindings_to(vhost, kind, name))
    for binding in gone:
        overlay.delete(schema.binding_path(binding))
    for source in dict.fromkeys(binding.source for binding in gone):
        _remove_if_unused(overlay, vhost, source)


def _remove_if_unused(overlay: Overlay, vhost: str, exchange: str) -> None:
    record = schema.exchange(overlay, vhost, exchange)
    if record is not None and record.auto_delete and not overlay.find(schema.bindings_from(vhost, exchange)):
        remove_exchange(overlay, record)
