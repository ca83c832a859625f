"""Requests about parameters: of a component in a virtual host, or of the whole cluster under a free name.

Decides which components there are and which procedure a parameter of theirs is, and which global parameters mean
something here. It must not know what follows from them. Source: RabbitMQ 3.10, `rabbit_runtime_parameters`,
`rabbit_vhost_limit`, `rabbit_policies`.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from broker.cluster import schema
from broker.cluster.procedures import policies, vhosts
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.limits import check_limits
from broker.cluster.procedures.membership import set_cluster_name
from broker.cluster.records import GlobalParameterRecord
from broker.cluster.refusal import Refused
from policies.validation import erlang, problems

VHOST_LIMITS: Final = "vhost-limits"
LIMITS_NAME: Final = "limits"
"""The only parameter of that component."""
OPERATOR_POLICY: Final = "operator_policy"
POLICY: Final = "policy"

NO_PARAMETER: Final = "Parameter does not exist"


def put_parameter(draft: Draft) -> Answer:
    """A parameter of a component: vhost, component, name, value."""
    vhost, component, name = draft.ask("vhost", str), draft.ask("component", str), draft.ask("name", str)
    value = draft.ask("value", object)
    if component == POLICY:
        raise Refused("invalid", "policies may not be set using this method")
    if found := _wrong(component, name, value):
        raise Refused("invalid", "Validation failed\n\n" + "".join(f"{text}\n" for text in found))
    assert isinstance(value, Mapping)
    if component == VHOST_LIMITS:
        return vhosts.set_vhost_limits(draft.of({"vhost": vhost, "limits": value}))
    return policies.put_policy(draft.of({**value, "vhost": vhost, "name": name, "operator": True}))


def _wrong(component: str, name: str, value: Any) -> list[str]:
    """Why this cannot be a parameter of that component."""
    if component not in (VHOST_LIMITS, OPERATOR_POLICY):
        return [f"component {component} not found"]
    if not isinstance(value, Mapping):
        return [f"{name} not a list {erlang(value)}"]
    if component == OPERATOR_POLICY:
        missing = [key for key in ("pattern", "priority", "definition") if key not in value]
        found = [problem.text for problem in problems(value, operator=True) if problem.field not in missing]
        return found + [f'Key "{key}" not found in {name}' for key in missing]
    try:
        check_limits(value, vhosts.VHOST_LIMITS, name)
    except Refused as refused:
        return [refused.why]
    return [] if name == LIMITS_NAME else [f"{VHOST_LIMITS} has no parameter {name}: its name is {LIMITS_NAME}"]


def clear_parameter(draft: Draft) -> Answer:
    """A parameter of a component goes: vhost, component, name. Raises Refused if there is none."""
    vhost, component, name = draft.ask("vhost", str), draft.ask("component", str), draft.ask("name", str)
    if component == POLICY:
        raise Refused("invalid", "policies may not be cleared using this method")
    if component == VHOST_LIMITS and name == LIMITS_NAME:
        return vhosts.clear_vhost_limits(draft.of({"vhost": vhost}))
    path = schema.policy_path(vhost, name, operator=True)
    if component == OPERATOR_POLICY and draft.overlay.get(path) is not None:
        return policies.clear_policy(draft.of({"vhost": vhost, "name": name, "operator": True}))
    raise Refused("not_found", NO_PARAMETER)


def put_global_parameter(draft: Draft) -> Answer:
    """A value of any kind under a name: name, value. That of `cluster_name` is what clients are told."""
    name, value = draft.ask("name", str), draft.ask("value", object)
    if name == schema.CLUSTER_NAME:
        if not isinstance(value, str):
            raise Refused("invalid", f"{name} is a text, not {erlang(value)}")
        return set_cluster_name(draft.of({"name": value}))
    if name == schema.CLUSTER_ID:
        raise Refused("invalid", f"{name} stays as it is for as long as the cluster lives")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:  # Python reads numbers that are none, and whoever lists parameters would stop at them
        raise Refused("invalid", f"{name} has a number that JSON cannot say") from None
    if draft.overlay.get(schema.GLOBAL_PARAMETERS) is None:
        draft.overlay.create(schema.GLOBAL_PARAMETERS, b"")
    return {"changed": draft.put(schema.global_parameter_path(name), GlobalParameterRecord(name, value))}


def clear_global_parameter(draft: Draft) -> Answer:
    """It goes: name. Raises Refused if there is none."""
    name = draft.ask("name", str)
    cluster = schema.cluster(draft.overlay)
    if name == schema.CLUSTER_NAME and cluster is not None and cluster.title:
        return set_cluster_name(draft.of({"name": ""}))
    if name == schema.CLUSTER_ID:
        raise Refused("invalid", f"{name} stays as it is for as long as the cluster lives")
    path = schema.global_parameter_path(name)
    if draft.overlay.get(path) is None:
        raise Refused("not_found", NO_PARAMETER)
    draft.overlay.delete(path)
    return {"changed": True}
