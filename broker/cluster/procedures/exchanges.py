"""Requests that declare, delete and bind exchanges.

Decides equivalence and what a deletion takes along. The doors have refused what names forbid (reserved prefixes, the
default exchange). Source: RabbitMQ 3.10, `rabbit_exchange`, `rabbit_binding`.
"""

from collections.abc import Mapping
from typing import Any

from broker.cluster import schema
from broker.cluster.arguments import EXCHANGE_ARGUMENTS, check_arguments, check_same, from_json
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.policies import Rules
from broker.cluster.procedures.queues import placed_queue
from broker.cluster.procedures.removal import remove_binding, remove_exchange
from broker.cluster.procedures.vhosts import check_vhost
from broker.cluster.records import BindingRecord, ExchangeRecord
from broker.cluster.refusal import Refused
from broker.routing import kinds
from broker.routing.delayed import delay_queue
from broker.routing.exchange import BindingInvalid, ExchangeInvalid


def declare_exchange(draft: Draft) -> Answer:
    """An exchange of this name with these properties.

    Members: vhost, name, kind, durable, auto_delete, internal, arguments (JSON form); node, life and locator as for a
    queue, if known: a delayed exchange has a queue of its own.
    """
    vhost, name, kind = draft.ask("vhost", str), draft.ask("name", str), draft.ask("kind", str)
    check_vhost(draft, vhost)
    facts: dict[str, Any] = {flag: draft.ask(flag, bool, False) for flag in ("durable", "auto_delete", "internal")}
    arguments = draft.ask("arguments", dict, {})
    present = schema.exchange(draft.overlay, vhost, name)
    if present is None:
        _check_kind(kind, arguments)
        ruling = Rules(draft.overlay, vhost).of_exchange(name)
        present = ExchangeRecord(draft.zxid, vhost, name, kind, arguments=arguments, **facts, **ruling._asdict())
        draft.put(schema.exchange_path(vhost, name), present)
        _have_delay_queue(draft, present)
        return {"created": True}
    resource = f"exchange '{name}' in vhost '{vhost}'"
    there = {"durable": present.durable, "auto_delete": present.auto_delete, "internal": present.internal}
    check_same(resource, {"type": _atom(present.kind), **there}, {"type": _atom(kind), **facts})
    check_arguments(resource, EXCHANGE_ARGUMENTS, present.arguments, arguments)
    _have_delay_queue(draft, present)
    return {"created": False}


def delete_exchange(draft: Draft) -> Answer:
    """The exchange goes with its bindings; with `if_unused` only if nothing is bound to it as source."""
    vhost, name = draft.ask("vhost", str), draft.ask("name", str)
    record = schema.exchange(draft.overlay, vhost, name)
    if record is None:
        return {"deleted": False}
    if draft.ask("if_unused", bool, False) and draft.overlay.find(schema.bindings_from(vhost, name)):
        raise Refused("in_use", f"exchange '{name}' in vhost '{vhost}' in use")
    remove_exchange(draft.overlay, record)
    return {"deleted": True}


def bind(draft: Draft) -> Answer:
    """A binding: vhost, source, destination_kind ("queue" or "exchange"), destination, key, arguments."""
    binding = _binding(draft)
    vhost = binding.vhost
    source = schema.exchange(draft.overlay, vhost, binding.source)
    if source is None:
        raise Refused("not_found", f"no exchange '{binding.source}' in vhost '{vhost}'")
    ends = schema.queue if binding.destination_kind == "queue" else schema.exchange
    if ends(draft.overlay, vhost, binding.destination) is None:
        raise Refused("not_found", f"no {binding.destination_kind} '{binding.destination}' in vhost '{vhost}'")
    try:
        kinds.check_binding(source.kind, from_json(source.arguments), binding.key, from_json(binding.arguments))
    except BindingInvalid as invalid:
        raise Refused("invalid", str(invalid)) from None
    return {"created": draft.put(schema.binding_path(binding), binding)}


def unbind(draft: Draft) -> Answer:
    """The binding goes, with an auto-delete exchange that has no other; members as for `bind`."""
    binding = _binding(draft)
    if draft.overlay.get(schema.binding_path(binding)) is None:
        return {"deleted": False}
    remove_binding(draft.overlay, binding)
    return {"deleted": True}


def _check_kind(kind: str, arguments: Mapping[str, Any]) -> None:
    try:
        kinds.check(kind, from_json(arguments))
    except kinds.KindUnknown as unknown:
        raise Refused("unknown_kind", str(unknown)) from None
    except ExchangeInvalid as invalid:
        raise Refused("invalid", str(invalid)) from None


def _have_delay_queue(draft: Draft, exchange: ExchangeRecord) -> None:
    """A delayed exchange gets the queue in which its messages wait, also anew if that was lost with its nodes.

    It is durable even if the exchange is not: like that, the death of a node does not end it, only its messages wait
    for the node. It ends with the exchange.
    """
    vhost, name = exchange.vhost, delay_queue(exchange.name)
    if exchange.kind != kinds.DELAYED or schema.queue(draft.overlay, vhost, name) is not None:
        return
    lives = draft.lives()
    # A definition that was imported comes from nowhere: then no node is nearer to it than another.
    local = draft.life() if "node" in draft.request else draft.chance.choice(sorted(lives.reachable.values()))
    if lives.is_over(local):
        raise Refused("stale", f"life {local.number} of {local.node} is over")
    ruling = Rules(draft.overlay, vhost).of_delays(exchange.name)
    record = placed_queue(draft, vhost, name, local, ruling)._replace(durable=True, delays=exchange.name)
    draft.put(schema.queue_path(vhost, name), record)


def _atom(kind: str) -> str:
    """A kind as RabbitMQ prints it: Erlang quotes an atom that is no plain word."""
    return kind if kind.isalnum() else f"'{kind}'"


def _binding(draft: Draft) -> BindingRecord:
    kind = draft.ask("destination_kind", str)
    if kind not in ("queue", "exchange"):
        raise Refused("invalid", f"a binding leads to a queue or an exchange, not to a {kind}")
    return BindingRecord(
        draft.ask("vhost", str),
        draft.ask("source", str),
        kind,
        draft.ask("destination", str),
        draft.ask("key", str, ""),
        draft.ask("arguments", dict, {}),
    )
