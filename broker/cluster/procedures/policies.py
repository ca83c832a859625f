"""Requests that set and clear policies, and the policy in force for a name.

Decides that a policy change and everything that follows from it (definitions in force, placement of every queue of the
virtual host) are one transaction. It must not know what keys mean. Source: mirroring rules 2 and 4.4.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from broker.cluster import schema
from broker.cluster.operations import Event
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.placing import settle
from broker.cluster.procedures.vhosts import check_vhost
from broker.cluster.records import NOTHING
from broker.cluster.refusal import Refused
from broker.cluster.succession import Situation
from policies.effective import merge
from policies.keys import EXCHANGES, KEYS, QUEUES
from policies.matching import match
from policies.models import Policy
from policies.quorum import type_of
from policies.validation import InvalidPolicy, checked

_PLACING = [key for key in KEYS if key.startswith("ha-") or key == "queue-master-locator"]

FIELDS = ("vhost", "name", "pattern", "apply-to", "definition", "priority")


class Ruling(NamedTuple):
    """What holds for one name: the two policies' names, and what they come to (None without any)."""

    policy: str | None
    operator_policy: str | None
    definition: Mapping[str, Any] | None


class Rules:
    """The policies of one virtual host."""

    def __init__(self, znodes: schema.Znodes, vhost: str) -> None:
        self._own = schema.policies(znodes, vhost)
        self._imposed = schema.policies(znodes, vhost, operator=True)
        self._rulings: dict[tuple[str | None, str | None], Ruling] = {}

    def of_queue(self, name: str, arguments: Mapping[str, Any] = NOTHING) -> Ruling:
        """What holds for a queue of this name with these arguments."""
        return self._ruling(QUEUES, name, type_of(arguments))

    def of_exchange(self, name: str) -> Ruling:
        """What holds for an exchange of this name."""
        return self._ruling(EXCHANGES, name)

    def _ruling(self, kind: str, name: str, queue_type: str | None = None) -> Ruling:
        own, imposed = (match(rules, kind, name, queue_type) for rules in (self._own, self._imposed))
        names = (own.name if own is not None else None, imposed.name if imposed is not None else None)
        if names not in self._rulings:
            merged = {key: setting.value for key, setting in merge(own, imposed).items()}
            self._rulings[names] = Ruling(*names, None if names == (None, None) else merged)
        return self._rulings[names]

    def of_delays(self, exchange: str) -> Ruling:
        """What holds for the queue behind a delayed exchange: its copies are those of a queue of the exchange's name,
        and nothing else applies, as nobody reads it."""
        ruling = self.of_queue(exchange)
        placing = {key: value for key, value in (ruling.definition or {}).items() if key in _PLACING}
        return ruling if ruling.definition is None else ruling._replace(definition=placing)


def put_policy(draft: Draft) -> Answer:
    """A policy: vhost, name, pattern, apply-to, definition, priority; `operator` for an operator policy."""
    operator = draft.ask("operator", bool, False)
    policy = write_policy(draft, draft.request, operator=operator)
    if policy is None:
        return {"changed": False}
    _enforce(draft, policy.vhost)
    draft.tell(Event.of("policy", vhost=policy.vhost, name=policy.name, change="set", operator=operator))
    return {"changed": True}


def clear_policy(draft: Draft) -> Answer:
    """The policy goes. Members: vhost, name, operator."""
    vhost, name, operator = draft.ask("vhost", str), draft.ask("name", str), draft.ask("operator", bool, False)
    path = schema.policy_path(vhost, name, operator=operator)
    if draft.overlay.get(path) is None:
        kind = "operator policy" if operator else "policy"
        raise Refused("not_found", f"no {kind} '{name}' in vhost '{vhost}'")
    draft.overlay.delete(path)
    _enforce(draft, vhost)
    draft.tell(Event.of("policy", vhost=vhost, name=name, change="cleared", operator=operator))
    return {"changed": True}


def write_policy(draft: Draft, wanted: Mapping[str, Any], *, operator: bool) -> Policy | None:
    """Write a policy as the fields say; None if it was there already, word for word."""
    for member in ("vhost", "name"):
        if not isinstance(wanted.get(member, ""), str):
            raise Refused("invalid", f"a policy's {member} is a text, not {wanted[member]!r}")
    try:
        policy = checked({name: wanted[name] for name in FIELDS if name in wanted}, operator=operator)
    except InvalidPolicy as problem:
        raise Refused("invalid", str(problem)) from problem
    except KeyError as missing:
        raise Refused("invalid", f"a policy needs {missing}") from missing
    check_vhost(draft, policy.vhost)
    path = schema.policy_path(policy.vhost, policy.name, operator=operator)
    return policy if draft.overlay.put(path, schema.encode_policy(policy)) else None


def _enforce(draft: Draft, vhost: str) -> None:
    rules = Rules(draft.overlay, vhost)
    situation = Situation(draft.lives(), draft.zxid, draft.chance, "policy")
    for queue in schema.all_queues(draft.overlay, vhost):
        ruling = rules.of_delays(queue.delays) if queue.delays else rules.of_queue(queue.name, queue.arguments)
        if ruling != (queue.policy, queue.operator_policy, queue.definition):
            settle(draft, queue, situation, queue._replace(**ruling._asdict()))
    for exchange in schema.exchanges(draft.overlay, vhost):
        ruling = rules.of_exchange(exchange.name)
        if ruling != (exchange.policy, exchange.operator_policy, exchange.definition):
            path = schema.exchange_path(vhost, exchange.name)
            draft.put(path, exchange._replace(**ruling._asdict()))
