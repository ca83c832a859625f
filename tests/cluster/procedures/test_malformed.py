"""Requests that people can send, with anything in them: each is carried out or refused, never a fault of the leader."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.cluster.refusal import Refused
from tests.cluster.malformed import requests
from tests.cluster.procedures.leader import Leader

MEMBERS = {
    "put_user": "name tags password password_hash hashing_algorithm limits new",
    "change_user": "name tags password password_hash hashing_algorithm",
    "delete_user": "name",
    "set_user_limits": "user limits",
    "clear_user_limits": "user limit",
    "put_vhost": "name description tags default_queue_type new exists",
    "delete_vhost": "name",
    "set_vhost_limits": "vhost limits",
    "clear_vhost_limits": "vhost",
    "put_permission": "user vhost configure write read",
    "clear_permission": "user vhost",
    "put_topic_permission": "user vhost exchange write read",
    "clear_topic_permission": "user vhost exchange",
    "put_policy": "vhost name pattern apply-to definition priority operator",
    "clear_policy": "vhost name operator",
    "put_parameter": "vhost component name value",
    "clear_parameter": "vhost component name",
    "put_global_parameter": "name value",
    "clear_global_parameter": "name",
}
USUAL = {
    **dict.fromkeys(("new", "exists", "operator"), st.booleans()),
    "limits": st.dictionaries(st.sampled_from(["max-queues", "max-channels", "max-connections"]), st.integers(-1, 2)),
    "definition": st.just({"max-length": 1}),
    "tags": st.just(["a"]),
    "component": st.sampled_from(["vhost-limits", "operator_policy", "policy", "other"]),
    "value": st.sampled_from([{"max-queues": 1}, {"pattern": "x", "priority": 1, "definition": {"max-length": 1}}, 5]),
    "priority": st.just(1),
    "apply-to": st.sampled_from(["queues", "exchanges", "all"]),
    "password_hash": st.just("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"),
    "hashing_algorithm": st.just("rabbit_password_hashing_sha256"),
}
TEXTS = st.sampled_from(["/", "guest", "tom", "*", "", "\x00", "a/b", "%", "\ud800"])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.floats(allow_nan=False), TEXTS)
ANYTHING = st.one_of(LEAVES, st.lists(LEAVES, max_size=2), st.dictionaries(TEXTS, LEAVES, max_size=2))


@settings(max_examples=60, deadline=None)
@given(st.lists(requests(MEMBERS, USUAL, TEXTS, ANYTHING), min_size=1, max_size=6))
def test_whatever_is_asked_is_done_or_refused(asked):
    leader = Leader("n1")
    leader.ask("put_user", name="guest", password="x")
    for request in asked:
        with suppress(Refused):
            leader.ask(**request)


@pytest.mark.parametrize("member", ["name", "vhost"])
def test_a_policy_whose_names_are_no_texts(member):
    policy = {"vhost": "/", "name": "p", "pattern": "", "definition": {"max-length": 1}, member: 5}
    with pytest.raises(Refused) as caught:
        Leader("n1").ask("put_policy", **policy)
    assert caught.value.code == "invalid"


def test_an_algorithm_that_is_no_text():
    with pytest.raises(Refused, match="hashing_algorithm is \\[\\], not of type str"):
        Leader("n1").ask("put_user", name="tom", hashing_algorithm=[])
